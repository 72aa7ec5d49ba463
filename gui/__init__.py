"""Graftwork's window. Never imports torch, torchvision or timm: it calls core, inside a worker."""
