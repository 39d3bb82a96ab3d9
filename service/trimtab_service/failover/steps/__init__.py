"""What steps do, a class a kind: the effect, its rehearsal in a drill, and its undoing."""
