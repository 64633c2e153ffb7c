"""The sentences that the demo model knows: templates in three languages and the words that fill them.

`{city}` stands for one word of that list, and no word is drawn twice for one sentence; `{digits}`
stands for a row of words, repeats allowed. The lists are those of the shipped weights. They make more
sounds than sense ("leaves at thirty five", "um eins Uhr"): the model shall hear words, not guess them.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from random import Random

#: How often each language is drawn, in sixths: English has twice the templates of the others.
LANGUAGE_SHARES = {"en": 4, "es": 1, "de": 1}

#: Fewest and most words in a row of digits: English ones are short, so a row may be longer.
DIGITS_IN_A_ROW = {"en": (3, 7), "es": (3, 5), "de": (3, 5)}

TEMPLATES = {
    "en": (
        "My number is {digits}.",
        "Call {name} on {digits}.",
        "Set a timer for {number} minutes.",
        "We need {number} cups of {food} and {number} glasses.",
        "The train to {city} leaves at {number} on {day}.",
        "{name} will meet us in the {room} at {number}.",
        "Remind me to buy {food} on {day}.",
        "The weather in {city} is {weather} today.",
        "What time is it in {city}?",
        "How far is it from {city} to {far city}?",
        "Turn {switch} the lights in the {room}.",
        "Play the next song in the {room}.",
        "I left the {thing} in the {room}.",
        "Please {verb} the {colour} {thing}.",
        "Is the {thing} {colour} or {other colour}?",
        "Read the {order} message from {name}.",
        "Good morning {name}, how are you?",
        "Stop the music now.",
        "Yes, that is right.",
        "No, thank you.",
    ),
    "es": (
        "Mi número es {digits}.",
        "Quiero {number} {things}, por favor.",
        "El tren a {city} sale a las {number}.",
        "Nos vemos el {day} por la {time of day}.",
        "Hoy hace {weather} en {city}.",
        "Enciende la luz de la {room}.",
        "¿Dónde está la {thing} {colour}?",
        "Buenos días, ¿cómo estás?",
        "Muchas gracias.",
    ),
    "de": (
        "Meine Nummer ist {digits}.",
        "Ich möchte {food} kaufen.",
        "Der Zug nach {city} fährt um {number} Uhr.",
        "Wir treffen uns am {day} um {number}.",
        "Das Wetter in {city} ist {weather}.",
        "Schalte das Licht in {room} {switch}.",
        "Wo ist {thing}?",
        "Guten Morgen, wie geht es dir?",
        "Vielen Dank.",
    ),
}

WORDS = {
    "en": {
        "digits": "zero one two three four five six seven eight nine".split(),
        "number": "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, twenty, "
        "twenty one, twenty five, thirty, thirty five, forty, fifty, sixty, a hundred".split(", "),
        "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
        "city": "Berlin Boston Chicago Dublin London Madrid Oslo Paris Rome Sydney Tokyo Vienna".split(),
        "far city": "Athens Geneva Lisbon Milan".split(),
        "room": "bathroom, bedroom, garage, garden, hallway, kitchen, living room, office".split(", "),
        "colour": "black blue green orange purple red white yellow".split(),
        "other colour": "brown gray pink silver".split(),
        "thing": "book bottle box car door lamp letter phone table window".split(),
        "name": "Anna David Laura Maria Michael Peter Sarah Thomas".split(),
        "food": "apples bread cheese coffee fish milk rice soup tea water".split(),
        "weather": "cloudy cold foggy rainy snowy sunny warm windy".split(),
        "verb": "bring check clean close find move open send".split(),
        "order": "first last second third".split(),
        "switch": "on off".split(),
    },
    "es": {
        "digits": "uno dos tres cuatro cinco seis siete ocho nueve diez once doce veinte treinta".split(),
        "number": "uno dos tres cuatro cinco seis siete ocho nueve diez once doce veinte treinta".split(),
        "day": "lunes martes miércoles jueves viernes sábado domingo".split(),
        "time of day": "mañana noche tarde".split(),
        "city": "Bogotá Granada Lima Madrid Quito Sevilla Toledo Valencia".split(),
        "room": "cocina oficina sala terraza".split(),
        "colour": "blanca negra roja verde".split(),
        "thing": "carta llave mesa puerta".split(),
        "things": "botellas cafés libros manzanas".split(),
        "weather": "calor frío sol viento".split(),
    },
    "de": {
        "digits": "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig".split(),
        "number": "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreißig".split(),
        "day": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split(),
        "city": "Berlin Bremen Dresden Hamburg Köln Leipzig München Zürich".split(),
        "room": "der Küche, der Garage, dem Büro, dem Garten".split(", "),
        "thing": "die rote Tür, die schwarze Lampe, das grüne Buch, der weiße Tisch".split(", "),
        "food": "Brot Kaffee Milch Tee Wasser".split(),
        "weather": "kalt schlecht schön warm".split(),
        "switch": "an aus".split(),
    },
}

SLOT = re.compile(r"\{([a-z ]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What is said, and in which language."""

    language: str
    """`en`, `es` or `de`."""
    text: str


def draw(rng: Random, excluded: Set[str] = frozenset()) -> Sentence:
    """A sentence drawn at random that is not held out from training.

    Args:
        rng: where chance comes from; equal states give equal sentences.
        excluded: texts that are held out; those of a template that `can_hold_out` forbids are drawn
            all the same.
    """
    while True:
        language = rng.choices(list(LANGUAGE_SHARES), list(LANGUAGE_SHARES.values()))[0]
        template = rng.choice(TEMPLATES[language])
        text = _fill(language, template, rng)
        if text not in excluded or not can_hold_out(template):
            return Sentence(language=language, text=text)


def can_hold_out(template: str) -> bool:
    """Whether training still hears every word of a sentence in its place if that sentence is held out.

    So it is where words are combined. A template with one slot or none says too few sentences
    ("Ich möchte Tee kaufen.": the only one with "Tee"), which differ by voice alone.
    """
    slots = SLOT.findall(template)
    return len(slots) > 1 or "digits" in slots


def _fill(language: str, template: str, rng: Random) -> str:
    drawn: set[str] = set()

    def word(slot: re.Match[str]) -> str:
        words = WORDS[language][slot[1]]
        if slot[1] == "digits":
            return " ".join(rng.choices(words, k=rng.randint(*DIGITS_IN_A_ROW[language])))
        drawn.add(chosen := rng.choice([word for word in words if word not in drawn]))
        return chosen

    return SLOT.sub(word, template)
