"""Pages for people: reports as HTML that needs nothing but itself."""
