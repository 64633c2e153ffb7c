-- Remove the audio of requests that will not run.
-- KEYS: account of audio, its bytes, then audio.  ARGV: of each its id and the number of its priority.
for i = 3, #KEYS do
  release(KEYS[i], ARGV[2 * i - 5], ARGV[2 * i - 4], KEYS[1], KEYS[2])
end
return #KEYS - 2
