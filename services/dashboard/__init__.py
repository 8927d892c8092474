"""The terminal: chat, figures and the health of every process on one screen, or plain lines."""
