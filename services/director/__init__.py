"""The conversation: who is answered, prompt, memory, cutting, the safety gate and interruption."""
