-- End turns of conversations where messages are not claimed, in the transaction that settles them.
-- KEYS: the lanes' lists, then of each whose turn it is, who waits, the context.
-- ARGV: how many lanes, bytes and seconds of a context that are kept, then of each id, text and whether the
-- context begins anew.
local lanes = tonumber(ARGV[1])
for i = 0, (#KEYS - lanes) / 3 - 1 do
  local turn, turns, context = unpack(KEYS, lanes + 3 * i + 1, lanes + 3 * i + 3)
  local id, text, anew = unpack(ARGV, 3 * i + 4, 3 * i + 6)
  end_turn(turn, turns, context, id, text, anew, ARGV[2], ARGV[3], 0, lanes)
end
return #ARGV
