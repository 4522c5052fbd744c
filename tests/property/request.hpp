// A request as a user would write it: a model and options by name, as JSON for the library and as a line for the command.
// Random ones are drawn from the catalogue's models, engines, releases and cards. It never plans. Threads: plain values;
// a Generator belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::property {

struct Request {
  std::string model;
  std::vector<std::pair<std::string, std::string>> options; // "max_length": "4096"; only "set" may stand twice

  std::optional<std::string> option(std::string_view name) const;
  // The same request with one option set, or without it.
  Request with(std::string_view name, std::string_view value) const;
  Request without(std::string_view name) const;

  std::string json() const;
  std::vector<std::string> arguments() const; // of the command: plan MODEL ...
  std::string command() const;                // ready to be pasted into a shell
};

class Generator {
public:
  explicit Generator(std::uint64_t seed);
  Request next();

private:
  template <class T>
  const T& one_of(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool once_in(std::uint64_t n) { return below(n) == 0; }

  std::string sized_device();
  std::string device();
  std::string devices(std::uint64_t count);
  void add_layout(Request& request);
  void add_engine(Request& request);
  void add_limits(Request& request);
  void add_types(Request& request);
  void add_rare(Request& request);
  void add_placement(Request& request);

  std::mt19937_64 random_;
  std::vector<std::string> models_, engines_, cards_;
};

// Device sizes at which a profile's rules change; within two neighbours more memory changes nothing but the memory.
const std::vector<std::uint64_t>& rule_sizes();

} // namespace plimsoll::property
