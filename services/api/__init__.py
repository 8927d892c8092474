"""The OpenAI-compatible door: HTTP on one side, `llm.generate` on the other."""
