"""Everything that speaks to a person or a wire: translate, call, translate back."""
