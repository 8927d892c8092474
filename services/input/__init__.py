"""What people type, from every door: terminal lines, a script, the programs of this machine, stream chats."""
