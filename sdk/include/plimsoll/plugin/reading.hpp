// plimsoll/plugin/reading.hpp - how a planner reads a configuration: Config, with the checked numbers (Bytes) and the Error that
// it throws. Never include it by itself: plimsoll/plugin.hpp is the include of plugins. Threads: values without shared state, any.
#ifndef PLIMSOLL_PLUGIN_READING_HPP
#define PLIMSOLL_PLUGIN_READING_HPP

#include <cstdint>
#include <exception>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/plugin/types.hpp"

namespace plimsoll {

inline plimsoll_str to_str(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view to_view(plimsoll_str text) { return {text.data, static_cast<std::size_t>(text.size)}; }

// Thrown by planner code; becomes the caller's plimsoll_error.
class Error : public std::exception {
public:
  Error(plimsoll_status code, std::string where, std::string message)
      : code_(code), where_(std::move(where)), message_(std::move(message)) {}
  plimsoll_status code() const { return code_; }
  const std::string& where() const { return where_; }
  const char* what() const noexcept override { return message_.c_str(); }

private:
  plimsoll_status code_;
  std::string where_;   // JSON pointer
  std::string message_; // found, expected, what to do
};

// An unsigned 64-bit count that throws E_OVERFLOW instead of wrapping.
class Bytes {
public:
  constexpr Bytes() = default;
  constexpr Bytes(std::uint64_t value) : value_(value) {}
  constexpr std::uint64_t value() const { return value_; }

  friend Bytes operator+(Bytes a, Bytes b) {
    if (a.value_ > std::numeric_limits<std::uint64_t>::max() - b.value_) overflow();
    return Bytes(a.value_ + b.value_);
  }
  friend Bytes operator-(Bytes a, Bytes b) {
    if (b.value_ > a.value_) overflow();
    return Bytes(a.value_ - b.value_);
  }
  friend Bytes operator*(Bytes a, Bytes b) {
    if (b.value_ != 0 && a.value_ > std::numeric_limits<std::uint64_t>::max() / b.value_) overflow();
    return Bytes(a.value_ * b.value_);
  }
  friend Bytes operator/(Bytes a, Bytes b) {
    if (b.value_ == 0) throw Error(PLIMSOLL_E_CONFIG, "", "division by zero; a size that must be positive is 0");
    return Bytes(a.value_ / b.value_);
  }
  friend bool operator==(Bytes a, Bytes b) { return a.value_ == b.value_; }
  friend bool operator!=(Bytes a, Bytes b) { return a.value_ != b.value_; }
  friend bool operator<(Bytes a, Bytes b) { return a.value_ < b.value_; }
  friend bool operator>(Bytes a, Bytes b) { return a.value_ > b.value_; }

private:
  [[noreturn]] static void overflow() { throw Error(PLIMSOLL_E_OVERFLOW, "", "a size does not fit 64 bits; check the configuration"); }
  std::uint64_t value_ = 0;
};
inline Bytes ceil_div(Bytes a, Bytes b) { return a / b + Bytes(a.value() % b.value() != 0 ? 1 : 0); }

// ---- reading the configuration -----------------------------------------------------------------------------

// Reads JSON pointers of one view. Absent keys answer with the manifest's class default, null counts as absent.
class Config {
public:
  Config(const plimsoll_host* host, const plimsoll_view* view) : host_(host), view_(view) {}

  // A required number from 0 to 2^40, the most that a host takes; E_CONFIG names the pointer where it is absent or of another type.
  std::uint64_t u64(std::string_view pointer) const {
    if (const auto value = find_u64(pointer)) return *value;
    throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "key is missing; a number is needed to size this model");
  }
  std::uint64_t u64(std::string_view pointer, std::uint64_t fallback) const { return find_u64(pointer).value_or(fallback); }
  // As u64, but at least 1.
  std::uint64_t positive(std::string_view pointer) const {
    const std::uint64_t value = u64(pointer);
    if (value == 0) throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "is 0; a positive number was expected");
    return value;
  }
  // The first of several spellings that is there; E_CONFIG names the first where none is.
  std::uint64_t positive_of(std::initializer_list<std::string_view> pointers) const {
    for (const std::string_view pointer : pointers)
      if (find_u64(pointer)) return positive(pointer);
    return positive(*pointers.begin());
  }
  std::optional<std::uint64_t> find_u64_of(std::initializer_list<std::string_view> pointers) const {
    for (const std::string_view pointer : pointers)
      if (const auto value = find_u64(pointer)) return value;
    return std::nullopt;
  }
  std::optional<std::uint64_t> find_u64(std::string_view pointer) const {
    std::uint64_t value = 0;
    if (!found(host_->get_u64(view_, to_str(pointer), &value), pointer, "a number from 0 to 2^40")) return std::nullopt;
    if (value > PLIMSOLL_MAX_EXTENT)
      throw Error(PLIMSOLL_E_CONFIG, std::string(pointer),
                  "is " + std::to_string(value) + "; a number from 0 to 2^40 was expected, check the configuration");
    return value;
  }
  // A number that may be negative, as sentinels are.
  std::optional<std::int64_t> find_i64(std::string_view pointer) const {
    std::int64_t value = 0;
    return found(host_->get_i64(view_, to_str(pointer), &value), pointer, "a whole number") ? std::optional(value) : std::nullopt;
  }
  std::optional<double> find_f64(std::string_view pointer) const {
    double value = 0;
    return found(host_->get_f64(view_, to_str(pointer), &value), pointer, "a finite number") ? std::optional(value) : std::nullopt;
  }
  std::optional<bool> find_bool(std::string_view pointer) const {
    std::uint32_t value = 0;
    return found(host_->get_bool(view_, to_str(pointer), &value), pointer, "true or false") ? std::optional(value != 0) : std::nullopt;
  }
  bool boolean(std::string_view pointer, bool fallback) const { return find_bool(pointer).value_or(fallback); }
  std::optional<std::string_view> find_str(std::string_view pointer) const {
    plimsoll_str value{nullptr, 0};
    return found(host_->get_str(view_, to_str(pointer), &value), pointer, "a string") ? std::optional(to_view(value)) : std::nullopt;
  }
  std::string_view str(std::string_view pointer, std::string_view fallback) const { return find_str(pointer).value_or(fallback); }
  // Elements of an array or members of an object; nothing where the key is absent or neither.
  std::optional<std::uint64_t> find_len(std::string_view pointer) const {
    std::uint64_t value = 0;
    return host_->get_len(view_, to_str(pointer), &value) == PLIMSOLL_OK ? std::optional(value) : std::nullopt;
  }
  // The keys of an object, in the configuration's order; none where it is absent.
  std::vector<std::string_view> keys(std::string_view pointer) const {
    std::vector<std::string_view> out;
    plimsoll_str key{nullptr, 0};
    while (out.size() < kMaxListLength && host_->get_key(view_, to_str(pointer), out.size(), &key) == PLIMSOLL_OK)
      out.push_back(to_view(key));
    return out;
  }
  // Whatever stands there, as JSON text; nothing where the key is absent.
  std::optional<std::string> find_json(std::string_view pointer) const {
    std::uint64_t size = 0;
    if (host_->get_json(view_, to_str(pointer), nullptr, 0, &size) != PLIMSOLL_OK) return std::nullopt;
    std::string out(static_cast<std::size_t>(size), ' ');
    if (host_->get_json(view_, to_str(pointer), out.data(), out.size(), &size) != PLIMSOLL_OK) return std::nullopt;
    return out;
  }
  // What the checkpoint stores under a name of this view's; nothing where there is none of that name, or no checkpoint. For the
  // planner's constructor.
  std::optional<plimsoll_tensor> find_tensor(std::string_view name) const {
    const auto* tensors = static_cast<const plimsoll_tensors*>(host_->query(host_, PLIMSOLL_STR(PLIMSOLL_TENSORS_ID)));
    plimsoll_tensor out{};
    out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_tensor, stored_bytes);
    if (tensors == nullptr || tensors->find(view_, to_str(name), &out) != PLIMSOLL_OK) return std::nullopt;
    return out;
  }
  // Calls `take` with everything that the checkpoint stores, in the order of names, which are the whole model's; nothing where there is
  // no checkpoint. For the planner's constructor; the texts of a tensor are valid during the call.
  template <class Take>
  void each_tensor(Take&& take) const {
    const auto* tensors = static_cast<const plimsoll_tensors*>(host_->query(host_, PLIMSOLL_STR(PLIMSOLL_TENSORS_ID)));
    if (tensors == nullptr) return;
    for (std::uint64_t i = 0, n = tensors->count(view_); i < n; ++i) {
      plimsoll_tensor tensor{};
      tensor.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_tensor, stored_bytes);
      if (tensors->at(view_, i, &tensor) == PLIMSOLL_OK) take(tensor);
    }
  }
  // Present and not null, whatever its type.
  bool has(std::string_view pointer) const {
    std::uint64_t number = 0;
    return host_->get_u64(view_, to_str(pointer), &number) != PLIMSOLL_E_NOT_FOUND;
  }
  // True where the value is a number (and not, say, a list).
  bool is_u64(std::string_view pointer) const {
    std::uint64_t number = 0;
    return host_->get_u64(view_, to_str(pointer), &number) == PLIMSOLL_OK;
  }
  // An array of numbers, or a text that lists them, as some configurations do ("3,4,5", "[0, 1]"); empty where the key is
  // absent.
  std::vector<std::uint64_t> u64_list(std::string_view pointer) const {
    plimsoll_str text{nullptr, 0};
    if (host_->get_str(view_, to_str(pointer), &text) == PLIMSOLL_OK) return numbers_in(pointer, to_view(text));
    const std::uint64_t n = find_len(pointer).value_or(0);
    if (n > kMaxListLength) throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "has more than 65536 entries");
    std::vector<std::uint64_t> out;
    for (std::uint64_t i = 0; i < n; ++i) out.push_back(u64(std::string(pointer) + "/" + std::to_string(i)));
    return out;
  }
  std::vector<std::string_view> str_list(std::string_view pointer) const {
    const std::uint64_t n = find_len(pointer).value_or(0);
    if (n > kMaxListLength) throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "has more than 65536 entries");
    std::vector<std::string_view> out;
    for (std::uint64_t i = 0; i < n; ++i) out.push_back(str(std::string(pointer) + "/" + std::to_string(i), ""));
    return out;
  }
  std::string_view model_type() const { return str("/model_type", ""); }
  // A line for people; the host says whose it is.
  void log(LogLevel level, std::string_view message) const { host_->log(host_, static_cast<std::uint32_t>(level), to_str(message)); }

  const plimsoll_host* host() const { return host_; }
  const plimsoll_view* view() const { return view_; }

private:
  static constexpr std::uint64_t kMaxListLength = 65536;
  static std::vector<std::uint64_t> numbers_in(std::string_view pointer, std::string_view text) {
    std::vector<std::uint64_t> out;
    bool in_number = false;
    for (const char c : text) {
      const bool digit = c >= '0' && c <= '9';
      if (!digit && std::string_view(" ,[]").find(c) == std::string_view::npos)
        throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "is a text; one that lists numbers, as \"3,4,5\", was expected");
      if (digit && !in_number) out.push_back(0);
      if (digit) out.back() = (Bytes(out.back()) * 10 + static_cast<std::uint64_t>(c - '0')).value();
      if (out.size() > kMaxListLength) throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "has more than 65536 entries");
      in_number = digit;
    }
    return out;
  }
  static bool found(plimsoll_status status, std::string_view pointer, const char* expected) {
    if (status == PLIMSOLL_OK) return true;
    if (status == PLIMSOLL_E_NOT_FOUND) return false;
    throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), std::string("has another type or range; expected ") + expected);
  }
  const plimsoll_host* host_;
  const plimsoll_view* view_;
};

} // namespace plimsoll

#endif
