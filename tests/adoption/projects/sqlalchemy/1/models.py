from sqlalchemy import Column, Enum, ForeignKey, Integer, Numeric, String, UniqueConstraint
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class Author(Base):
    __tablename__ = "author"
    id = Column(Integer, primary_key=True)
    name = Column(String, nullable=False)


class Book(Base):
    __tablename__ = "book"
    __table_args__ = (UniqueConstraint("isbn", name="book_isbn_key"),)
    id = Column(Integer, primary_key=True)
    title = Column(String, nullable=False)
    price = Column(Numeric(10, 2))
    isbn = Column(String(20), index=True, server_default="none")
    mood = Column(Enum("calm", "dark", name="mood"), nullable=False)
    author_id = Column(ForeignKey("author.id", name="book_author_id_fkey"))


class Draft(Base):
    __tablename__ = "draft"
    id = Column(Integer, primary_key=True)
    book_id = Column(ForeignKey("book.id"))
    body = Column(String)
