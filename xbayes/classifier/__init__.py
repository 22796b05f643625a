"""The whole classifier: recipe, fit, prediction, explanation, model file."""
