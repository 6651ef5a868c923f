"""The guard: plain drops of any form are captured or refused, as the same drops on a twin database
show.
"""
