"""The voice: says only what `tts.speak` brings, and tells everybody when each word sounds."""
