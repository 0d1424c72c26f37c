"""The mover process: moves one volume and exits."""
