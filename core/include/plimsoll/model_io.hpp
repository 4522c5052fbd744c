// plimsoll/model_io.hpp - what a model takes and gives in one step: ModelInputs, to be derived from, and ModelOutputs. Written by who makes
// a model, read by who steps one. Values of tensors; nothing here allocates device memory. Threads: [serial] per object.
//
//   class ReplitInputs : public ModelInputs {
//   public:
//     ReplitInputs(Tensor tokens, Tensor input_row_offsets)
//         : tokens(std::move(tokens)), input_row_offsets(std::move(input_row_offsets)) {}
//     Tensor tokens, input_row_offsets;
//     PLIMSOLL_INPUT_FIELDS(tokens, input_row_offsets)
//   };
//
//   ReplitInputs inputs(tokens, input_row_offsets);
//   inputs.list() == std::vector{tokens, input_row_offsets};            // true
//   for (const NamedTensor& input : inputs) use(input.name, input.tensor);
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/tensor.hpp"

namespace plimsoll {

// ---- Inputs ---------------------------------------------------------------------------------------------------------------

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// One KV group of a device: its pages and the table that says which page holds what; for states their rows instead. An empty tensor is
// absent.
struct KvGroupTensors {
  Tensor blocks;       // the pool itself, uint8 [pages, page bytes]; states: [rows, row bytes]
  Tensor lookup_table; // uint32 [batch, columns]
  Tensor state_rows;   // uint32 [batch, rows of a request]
};
// What one device's part of a step needs of the KV cache.
struct KvDeviceInputs {
  std::vector<KvGroupTensors> groups; // in the order of the plan's geometry
  Tensor cache_lengths;               // uint32 [batch]: tokens in the cache before the step
  Tensor max_lengths;                 // uint32 [steps, 2], on the host: most active tokens, largest cache length
};
struct PLIMSOLL_API KvCacheInputs {
  std::vector<KvDeviceInputs> devices;

  // Its tensors, device by device: blocks, cache_lengths, lookup_table, state_rows, max_lengths. Named "kv.blocks"; "kv.blocks.1" where
  // there are several groups, "kv1.blocks" where there are several devices, all counted from 0. Absent ones are left out.
  std::vector<NamedTensor> list() const;
};

// A field that a class of inputs declares: one tensor, one that may be absent, or one per device.
template <bool kConst>
struct BasicInputField {
  template <class T>
  using Pointer = std::conditional_t<kConst, const T*, T*>;
  std::string_view name;
  std::variant<Pointer<Tensor>, Pointer<std::optional<Tensor>>, Pointer<std::vector<Tensor>>> value;
};
using InputField = BasicInputField<false>;
using ConstInputField = BasicInputField<true>;

// One value of an update; an absent one changes nothing.
struct InputUpdate {
  std::string_view name;
  std::optional<Tensor> value;
};

// The base of a model's inputs: any number of fields of tensors, named once with PLIMSOLL_INPUT_FIELDS. Iteration yields each tensor with
// its name: the class's own fields in the order of their declaration, then lora_ids, lora_ranks and the tensors of kv_cache_inputs;
// what is absent is skipped. A field of several tensors yields "name.0", "name.1", ...
class PLIMSOLL_API ModelInputs {
public:
  virtual ~ModelInputs() = default;

  std::optional<KvCacheInputs> kv_cache_inputs;
  std::optional<Tensor> lora_ids;   // int32 [batch]: slot of each request's adapter, -1 for the base model
  std::optional<Tensor> lora_ranks; // uint32 [batch]: its rank, 0 for the base model

  class PLIMSOLL_API Iterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = NamedTensor;
    using difference_type = std::ptrdiff_t;
    using pointer = const NamedTensor*;
    using reference = const NamedTensor&;

    Iterator() = default;
    reference operator*() const { return (*tensors_)[at_]; }
    pointer operator->() const { return &(*tensors_)[at_]; }
    Iterator& operator++() {
      if (++at_ == tensors_->size()) *this = Iterator();
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

  private:
    friend class ModelInputs;
    explicit Iterator(std::vector<NamedTensor> tensors);
    std::shared_ptr<const std::vector<NamedTensor>> tensors_; // as the inputs were at begin(); null at the end
    std::size_t at_ = 0;
  };
  Iterator begin() const { return Iterator(named_tensors()); }
  Iterator end() const { return {}; }
  std::vector<NamedTensor> named_tensors() const;
  std::vector<Tensor> list() const;
  // The tensor of that name as iteration names it; an empty one where there is none.
  Tensor find(std::string_view name) const;

  // Sets fields by name, all of them or none; absent values are skipped. kBadRequest: a name that no field has (the message lists those
  // that there are), or a field that is not one tensor.
  Result<void> update(std::span<const InputUpdate> values);
  Result<void> update(std::initializer_list<InputUpdate> values);
  Result<void> update(std::string_view name, std::optional<Tensor> value);
  // Makes a field absent.
  Result<void> clear(std::string_view name);

  // What the class itself declares; PLIMSOLL_INPUT_FIELDS writes both.
  virtual std::vector<InputField> declared_fields() = 0;
  virtual std::vector<ConstInputField> declared_fields() const = 0;

protected:
  ModelInputs() = default;
  ModelInputs(const ModelInputs&) = default;
  ModelInputs& operator=(const ModelInputs&) = default;

private:
  std::vector<InputField> all_fields();
};

namespace detail {
// The next name of "tokens, input_row_offsets", which it takes away.
std::string_view PLIMSOLL_API next_field_name(std::string_view& names) noexcept;
template <class Field, class... Values>
std::vector<Field> input_fields(std::string_view names, Values&... values) {
  return {Field{next_field_name(names), &values}...};
}
} // namespace detail

} // namespace plimsoll

// Declares the fields of a class of inputs, in the order in which iteration yields them: members of type Tensor, std::optional<Tensor> or
// std::vector<Tensor>.
#define PLIMSOLL_INPUT_FIELDS(...)                                                                                                         \
  std::vector<::plimsoll::InputField> declared_fields() override {                                                                         \
    return ::plimsoll::detail::input_fields<::plimsoll::InputField>(#__VA_ARGS__, __VA_ARGS__);                                            \
  }                                                                                                                                        \
  std::vector<::plimsoll::ConstInputField> declared_fields() const override {                                                              \
    return ::plimsoll::detail::input_fields<::plimsoll::ConstInputField>(#__VA_ARGS__, __VA_ARGS__);                                       \
  }

namespace plimsoll {

// The inputs of text models: what the reference model makes, and what a host's own may use.
class PLIMSOLL_API TextInputs : public ModelInputs {
public:
  Tensor tokens;                      // int64 [T]: active tokens, one request after another
  Tensor input_row_offsets;           // uint32 [batch + 1]: where each request's begin
  Tensor return_n_logits;             // int64 [1], on the host: how many trailing rows of each request want logits
  std::vector<Tensor> signal_buffers; // one per device, where the model has them
  std::optional<Tensor> position_ids; // uint32 [T, 3], where requests have images; absent: all three are the token's place
  PLIMSOLL_INPUT_FIELDS(tokens, input_row_offsets, return_n_logits, signal_buffers, position_ids)
};

// ---- Outputs --------------------------------------------------------------------------------------------------------------

// Which rows a model returns: the last of each request; all; or as many trailing ones as return_n_logits says.
enum class ReturnLogits : std::uint8_t { kLastToken, kAll, kVariable };

// The outputs of one step. With `logit_offsets` the rows of request i are [offsets[i], offsets[i + 1]), without it is row i. Tensors may be
// views of a model's own memory, valid until its next step. Immutable.
class PLIMSOLL_API ModelOutputs {
public:
  // logits float32 [R, V]; next_token_logits float32 [batch, V]; logit_offsets uint32 [batch + 1], on the host. kBadRequest: other types
  // or shapes, offsets that do not start at 0, fall, or end elsewhere than at R.
  static Result<ModelOutputs> create(Tensor logits, std::optional<Tensor> next_token_logits = std::nullopt,
                                     std::optional<Tensor> logit_offsets = std::nullopt);

  const Tensor& logits() const { return logits_; }                                      // of a variable number of tokens per request
  const std::optional<Tensor>& next_token_logits() const { return next_token_logits_; } // of just the next token
  const std::optional<Tensor>& logit_offsets() const { return logit_offsets_; }         // to find each request's rows

  std::uint64_t batch() const { return batch_; }
  std::uint64_t vocab() const { return vocab_; }
  // The rows of one request, one after another, and the last of them, which chooses its next token. kBadRequest: no such request, no such
  // row, or memory that the processor cannot read.
  Result<std::span<const float>> rows_of(std::uint64_t request) const;
  Result<std::span<const float>> next_token_row(std::uint64_t request) const;

private:
  ModelOutputs() = default;
  Tensor logits_;
  std::optional<Tensor> next_token_logits_, logit_offsets_;
  std::uint64_t batch_ = 0, vocab_ = 0;
};

} // namespace plimsoll
