"""Where HTTP meets the routes: strict bodies, uploads, problem responses, the gate before everything."""
