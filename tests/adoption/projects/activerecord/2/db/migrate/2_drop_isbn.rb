class DropIsbn < ActiveRecord::Migration[6.1]
  def up
    remove_index :book, :isbn
    change_column_default :book, :isbn, nil
    remove_column :book, :isbn
    drop_table :draft
  end
end
