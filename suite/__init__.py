"""sourcebench: which pre-training source makes the best audio encoder, and why?"""
