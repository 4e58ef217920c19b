"""The hub: who may connect, what each node holds, and the session that moves it."""
