"""What happens between ``python train.py`` and the first step?"""
