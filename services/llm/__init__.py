"""The model's process: takes `llm.generate`, publishes the text as it comes."""
