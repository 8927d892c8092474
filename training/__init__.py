"""Fine-tuning and pre-training of Akane's GPT: torch and `shared`, no service."""
