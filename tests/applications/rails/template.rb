# An application template (rails new --template): one page with the layout's stylesheet, a script and a form, whose token
# makes Rails start a session.
gsub_file 'Gemfile', /^group .*?^end\n/m, '' # Debian has not all of their gems
create_file 'app/assets/javascripts/application.js', "document.documentElement.dataset.ran = 'yes';\n"
append_to_file 'app/assets/config/manifest.js', "//= link application.js\n"
append_to_file 'app/assets/stylesheets/application.css', "body { color: rgb(1, 2, 3); font-family: sans-serif }\n"
inject_into_file 'app/views/layouts/application.html.erb',
                 "    <%= javascript_include_tag 'application' %>\n", before: '  </head>'
create_file 'app/controllers/home_controller.rb', <<~RUBY
  class HomeController < ApplicationController
    def index
    end
  end
RUBY
create_file 'app/views/home/index.html.erb', <<~ERB
  <h1>A Rails application</h1>
  <%= form_with url: '/' do |form| %>
    <%= form.text_field :name %>
    <%= form.submit 'Send' %>
  <% end %>
ERB
route "root 'home#index'"
