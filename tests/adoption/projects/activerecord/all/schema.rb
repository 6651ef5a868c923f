require_relative "connect"

ActiveRecord::SchemaDumper.dump(ActiveRecord::Base.connection, $stdout)
