"""What the machine room must offer, as protocols of at most twelve methods each."""
