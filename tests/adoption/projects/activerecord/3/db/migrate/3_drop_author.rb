class DropAuthor < ActiveRecord::Migration[6.1]
  def up
    remove_reference :book, :author, foreign_key: { to_table: :author }
    drop_table :author
  end
end
