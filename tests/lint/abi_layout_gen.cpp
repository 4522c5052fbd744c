// abi_layout_gen HEADER OUTPUT: reads a header of the ABI and writes a C program that prints its layout, a line per struct field,
// enumerator, function and numeric macro. Run by the build for abi_lock_test. It understands the plain C of these headers
// and stops at anything else, so that no declaration can slip past the lock.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

[[noreturn]] void stop(const std::string& what) {
  std::cerr << "abi_layout_gen: " << what << "\n";
  std::exit(1);
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string without_comments(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, 2, "/*") == 0) {
      const std::size_t end = text.find("*/", at + 2);
      if (end == std::string::npos) stop("a comment does not end");
      at = end + 2;
      out += ' ';
    } else {
      out += text[at++];
    }
  }
  return out;
}

// Words and punctuation; preprocessor lines are handled before.
std::vector<std::string> tokens(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      ++at;
    } else if (is_word(text[at])) {
      std::size_t end = at;
      while (end < text.size() && is_word(text[end])) ++end;
      out.push_back(text.substr(at, end - at));
      at = end;
    } else if (text[at] == '"') {
      const std::size_t end = text.find('"', at + 1);
      out.push_back(text.substr(at, end - at + 1));
      at = end + 1;
    } else {
      out.emplace_back(1, text[at++]);
    }
  }
  return out;
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty() && is_word(word.front()) && (is_word(out.back()) || out.back() == '*')) out += ' ';
    out += word;
    if (word == ",") out += ' ';
  }
  return out;
}

struct Generator {
  std::vector<std::string> tokens;
  std::size_t at = 0;
  std::ostringstream out;

  const std::string& peek(std::size_t ahead = 0) const {
    static const std::string none;
    return at + ahead < tokens.size() ? tokens[at + ahead] : none;
  }
  std::string take() {
    if (at >= tokens.size()) stop("the header ends in the middle of a declaration");
    return tokens[at++];
  }
  void expect(const std::string& word) {
    const std::string found = take();
    if (found != word) stop("found '" + found + "' where '" + word + "' was expected");
  }

  void line(const std::string& words, const std::string& format, const std::string& values) {
    out << "  printf(\"" << words << format << "\\n\"" << values << ");\n";
  }

  void enumeration() {
    expect("{");
    while (peek() != "}") {
      const std::string name = take();
      expect("=");
      while (peek() != "," && peek() != "}") take();
      if (peek() == ",") take();
      line("enum " + name, " %lld", ", (long long)" + name);
    }
    expect("}");
    expect(";");
  }

  // Parameter names are no part of the layout.
  static std::string parameter_types(const std::vector<std::string>& words) {
    std::vector<std::string> kept, parameter;
    const auto flush = [&] {
      if (parameter.size() > 1 && is_word(parameter.back().front()) && parameter[parameter.size() - 2] != "const") parameter.pop_back();
      kept.insert(kept.end(), parameter.begin(), parameter.end());
      parameter.clear();
    };
    for (const std::string& word : words) {
      if (word == ",") {
        flush();
        kept.push_back(word);
      } else {
        parameter.push_back(word);
      }
    }
    flush();
    return join(kept);
  }

  void field(const std::string& owner, const std::string& name, const std::string& type) {
    line("field " + owner + "." + name, " offset %zu size %zu type " + type,
         ", offsetof(" + owner + ", " + name + "), sizeof(((" + owner + "*)0)->" + name + ")");
  }

  void structure(const std::string& owner) {
    expect("{");
    bool sized = false;
    while (peek() != "}") {
      std::vector<std::string> type;
      while (peek() != ";" && peek() != "," && peek() != "[" && peek() != "(") type.push_back(take());
      if (peek() == "(") { // TYPE (*name)(PARAMETERS) PLIMSOLL_NOEXCEPT;
        take();
        expect("*");
        const std::string name = take();
        expect(")");
        expect("(");
        std::vector<std::string> parameters;
        while (peek() != ")") {
          if (peek() == "(") stop(owner + "." + name + " takes a function; the generator does not read that");
          parameters.push_back(take());
        }
        expect(")");
        expect("PLIMSOLL_NOEXCEPT");
        expect(";");
        field(owner, name, join(type) + "(*)(" + parameter_types(parameters) + ")");
        continue;
      }
      if (type.size() < 2) stop("a field of " + owner + " has no type");
      std::string name = type.back();
      type.pop_back();
      for (bool more = true; more;) {
        std::string extent;
        if (peek() == "[") {
          while (peek() != "]") extent += take();
          extent += take();
        }
        if (name == "struct_size") sized = true;
        field(owner, name, join(type) + extent);
        more = peek() == ",";
        take();
        if (more) name = take();
      }
    }
    expect("}");
    // A struct without struct_size crosses by value or in arrays: its size is part of the contract.
    if (!sized) line("fixed " + owner, " size %zu align %zu", ", sizeof(" + owner + "), _Alignof(" + owner + ")");
  }

  // RESULT name(PARAMETERS); where it is a pointer, RESULT (*name)(PARAMETERS);
  void function(const std::string& what, bool pointer) {
    std::vector<std::string> result, parameters;
    while (peek() != "(") result.push_back(take());
    std::string name;
    if (pointer) {
      expect("(");
      expect("*");
      name = take();
      expect(")");
    } else {
      name = result.back();
      result.pop_back();
    }
    expect("(");
    while (peek() != ")") {
      if (peek() == "(") stop(name + " takes a function by its type; give that a name");
      parameters.push_back(take());
    }
    expect(")");
    expect(";");
    line(what + " " + name, " " + join(result) + "(" + parameter_types(parameters) + ")", "");
  }

  void run() {
    while (at < tokens.size()) {
      if (peek() == "enum") {
        take();
        enumeration();
      } else if (peek() == "_Static_assert") { // of the compiler's, no declaration
        while (take() != ";") {
        }
      } else if (peek() == "typedef" && peek(1) == "struct" && peek(3) == "{") {
        take(), take();
        const std::string name = take();
        structure(name);
        if (take() != name) stop("the typedef of " + name + " has another name");
        expect(";");
      } else if (peek() == "struct" && peek(2) == "{") {
        take();
        const std::string name = take();
        structure(name);
        expect(";");
      } else if (peek() == "typedef" && peek(1) == "struct" && peek(4) == ";") {
        line("opaque " + peek(2), "", "");
        at += 5;
      } else if (peek() == "typedef" && peek(3) == ";") {
        line("type " + peek(2), " %zu " + peek(1), ", sizeof(" + peek(2) + ")");
        at += 4;
      } else if (peek() == "typedef" && std::find(tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.end(), "(") <
                                            std::find(tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.end(), ";")) {
        take();
        function("callback", true);
      } else if (peek() == "PLIMSOLL_HOST_EXPORT") {
        take();
        function("function", false);
      } else if (peek() == "extern" && peek(1) == "PLIMSOLL_EXPORT") {
        std::string words;
        take(), take();
        while (peek() != ";") words += (words.empty() ? "" : " ") + take();
        take();
        line("symbol " + words, "", "");
      } else {
        stop("does not know the declaration that begins with '" + peek() + " " + peek(1) + " " + peek(2) + "'");
      }
    }
  }
};

// What the preprocessor is in: parts for C++, which are left out, parts for C, or others, which are read whichever they are.
enum class Branch { kCpp, kC, kOther };

void follow(const std::string& line, std::vector<Branch>& branches) {
  if (line.starts_with("#ifdef __cplusplus")) {
    branches.push_back(Branch::kCpp);
  } else if (line.starts_with("#if")) {
    branches.push_back(Branch::kOther);
  } else if (line.starts_with("#else") || line.starts_with("#endif")) {
    if (branches.empty()) stop("'" + line + "' ends nothing");
    if (line.starts_with("#endif")) branches.pop_back();
    else if (branches.back() == Branch::kCpp) branches.back() = Branch::kC;
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 3) stop("usage: abi_layout_gen HEADER OUTPUT");
  std::ifstream in(argv[1], std::ios::binary);
  std::ostringstream read;
  read << in.rdbuf();
  if (!in) stop(std::string("cannot read ") + argv[1]);

  Generator generator;
  std::istringstream lines(without_comments(read.str()));
  std::string line, declarations;
  std::vector<Branch> branches;
  while (std::getline(lines, line)) {
    while (!line.empty() && line.back() == '\\') {
      std::string next;
      std::getline(lines, next);
      line.back() = ' ';
      line += next;
    }
    if (line.starts_with("#")) {
      follow(line, branches);
      // #define NAME VALUE, where VALUE is a number or UINT32_MAX; macros with parameters are code.
      std::istringstream words(line);
      std::string define, name, value;
      words >> define >> name >> value;
      if (define == "#define" && !value.empty() && name.find('(') == std::string::npos &&
          (std::isdigit(static_cast<unsigned char>(value.front())) != 0 || value.starts_with("UINT") || value.starts_with("(")))
        generator.line("define " + name, " %lld", ", (long long)" + name);
    } else if (std::find(branches.begin(), branches.end(), Branch::kCpp) == branches.end()) {
      declarations += line + "\n";
    }
  }
  generator.tokens = tokens(declarations);
  generator.run();

  std::ofstream out(argv[2], std::ios::binary);
  const std::string path = argv[1], header = "plimsoll/" + path.substr(path.rfind('/') + 1);
  out << "/* Written by abi_layout_gen from " << header << ". */\n#include <" << header << ">\n#include <stdio.h>\n\nint main(void) {\n"
      << generator.out.str() << "  return 0;\n}\n";
  if (!out.flush()) stop(std::string("cannot write ") + argv[2]);
  return 0;
}
