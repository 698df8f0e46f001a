"""Plans, starts, aborts and shows rollouts, for whoever may invoke it."""
