class RoundPrice < ActiveRecord::Migration[6.1]
  def up
    change_column :book, :price, :integer
  end
end
