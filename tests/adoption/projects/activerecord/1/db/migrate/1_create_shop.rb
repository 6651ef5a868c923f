class CreateShop < ActiveRecord::Migration[6.1]
  def change
    execute "CREATE TYPE mood AS ENUM ('calm', 'dark')"
    create_table :author do |t|
      t.text :name, null: false
    end
    create_table :book do |t|
      t.text :title, null: false
      t.decimal :price, precision: 10, scale: 2
      t.string :isbn, limit: 20, default: "none", index: { unique: true }
      t.column :mood, :mood, null: false
      t.references :author, foreign_key: { to_table: :author }
    end
    create_table :draft do |t|
      t.references :book, foreign_key: { to_table: :book }
      t.text :body
    end
  end
end
