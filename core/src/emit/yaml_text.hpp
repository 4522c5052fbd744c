// YAML for others to read: maps and lists in order, every text in quotes, a comment behind a value. yaml-cpp writes it. For the writers of
// deployments. Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace plimsoll {

class YamlText {
public:
  YamlText();
  ~YamlText();
  YamlText(const YamlText&) = delete;
  YamlText& operator=(const YamlText&) = delete;

  void begin_map();
  void end_map();
  void begin_list();
  void end_list();
  void key(const std::string& key); // a word of ours
  void text(const std::string& value, const std::string& comment = "");
  void number(std::uint64_t value, const std::string& comment = "");
  void truth(bool value);
  void block(const std::string& value); // of several lines
  // true, false and numbers as they are, all else as text.
  void plain(const std::string& value, const std::string& comment = "");
  void comment_line(const std::string& text); // of its own
  // "key: text", the common case.
  void entry(const std::string& key, const std::string& value, const std::string& comment = "");

  std::string text() const; // ends with a line

private:
  void comment(const std::string& text);
  struct Data;
  std::unique_ptr<Data> data_;
};

} // namespace plimsoll
