"""Role-based access control: what roles say, who has which, and what that allows."""
