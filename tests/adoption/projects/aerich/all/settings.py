import os

ORM = {
    "connections": {"default": os.environ["ADOPTION_URL"]},
    "apps": {"shop": {"models": ["models", "aerich.models"]}},
}
