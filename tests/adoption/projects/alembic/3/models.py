from sqlalchemy import Column, Enum, Integer, Numeric, String
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class Author(Base):
    __tablename__ = "author"
    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False)


class Book(Base):
    __tablename__ = "book"
    id = Column(Integer, primary_key=True)
    title = Column(String, nullable=False)
    price = Column(Numeric(10, 2))
    mood = Column(Enum("calm", "dark", name="mood"), nullable=False)
