"""How the status of a run looks: its icon and the role of its colour."""

STATUS_ICONS = {
    "done": ("check-circle-outline", "good"),
    "stopped": ("stop-circle-outline", "muted"),
    "failed": ("alert-circle-outline", "bad"),
    "running": ("progress-clock", "accent"),
    "interrupted": ("lightning-bolt-outline", "warning"),
}
