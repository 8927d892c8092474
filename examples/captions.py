"""Captions in the terminal, word by word as they are heard; what never passed her gate never shows."""

from shared.follow import follow

newest = 0  # turns of a lower epoch were interrupted: their late events are not for viewers any more
for message in follow("captions", "speech.progress", "speech.finished"):
    event = message.payload
    if event.epoch < newest:
        continue
    newest = event.epoch
    if message.topic == "speech.progress":
        # One line for each chunk of speech: written over until the chunk has sounded to its end.
        print(f"\r\033[K{event.heard}", end="", flush=True)
    else:
        print(f"\r\033[K{event.heard}\n", flush=True)  # the whole turn, as it came out of the loudspeaker
