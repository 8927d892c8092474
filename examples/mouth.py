"""An avatar of one line: her mouth moves with the sound, her eyes follow her mood."""

from shared.follow import follow

MOUTHS = {"A": "◠", "I": "―", "U": "∘", "E": "▱", "O": "○", "N": "-", "smile": "ᴗ"}
EYES = {"happy": "^", "excited": "★", "shy": "˘", "sad": "╥", "surprised": "◉", "annoyed": "¬"}

eye = "•"
for message in follow("mouth", "avatar.mood", "avatar.mouth", "speech.finished"):
    mouth = "‿"
    if message.topic == "avatar.mood":
        eye = EYES.get(message.payload.mood, "•")
    elif message.topic == "avatar.mouth":
        # 30 shapes a second while she speaks, timed by the sound card: draw each at once, keep no queue.
        mouth = MOUTHS.get(message.payload.shape, "‿")
    print(f"\r\033[K({eye} {mouth} {eye})", end="", flush=True)
