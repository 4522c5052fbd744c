// See yaml_text.hpp. Texts are in double quotes always, so that "true", "8" and whatever a model is called stay texts.
#include "emit/yaml_text.hpp"

#include <yaml-cpp/yaml.h>

#include "emit/deployment.hpp"

namespace plimsoll {

struct YamlText::Data {
  YAML::Emitter out;
};

YamlText::YamlText() : data_(std::make_unique<Data>()) { data_->out.SetIndent(2); }
YamlText::~YamlText() = default;

void YamlText::begin_map() { data_->out << YAML::BeginMap; }
void YamlText::end_map() { data_->out << YAML::EndMap; }
void YamlText::begin_list() { data_->out << YAML::BeginSeq; }
void YamlText::end_list() { data_->out << YAML::EndSeq; }
void YamlText::key(const std::string& key) { data_->out << YAML::Key << key << YAML::Value; }

void YamlText::text(const std::string& value, const std::string& comment_behind) {
  data_->out << YAML::DoubleQuoted << value;
  comment(comment_behind);
}

void YamlText::number(std::uint64_t value, const std::string& comment_behind) {
  data_->out << value;
  comment(comment_behind);
}

void YamlText::truth(bool value) { data_->out << value; }

void YamlText::block(const std::string& value) { data_->out << YAML::Literal << value; }

void YamlText::plain(const std::string& value, const std::string& comment_behind) {
  const bool digits = !value.empty() && value.size() < 18 && value.find_first_not_of("0123456789.") == std::string::npos &&
                      value.find('.') == value.rfind('.') && value.front() != '.' && value.back() != '.';
  if (value == "true" || value == "false" || digits) data_->out << value;
  else data_->out << YAML::DoubleQuoted << value;
  comment(comment_behind);
}

void YamlText::comment_line(const std::string& text) { data_->out << YAML::Comment(comment_text(text)) << YAML::Newline; }

void YamlText::entry(const std::string& name, const std::string& value, const std::string& comment_behind) {
  key(name);
  text(value, comment_behind);
}

void YamlText::comment(const std::string& text) {
  if (!text.empty()) data_->out << YAML::Comment(comment_text(text));
}

std::string YamlText::text() const { return std::string(data_->out.c_str()) + "\n"; }

} // namespace plimsoll
