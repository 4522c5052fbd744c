#include "plimsoll/model_io.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace plimsoll {
namespace {

void add(std::vector<NamedTensor>& list, std::string name, const Tensor& tensor) {
  if (!tensor.empty()) list.push_back({std::move(name), tensor});
}

// The tensors of one declared field that are there.
void add_field(std::vector<NamedTensor>& list, const ConstInputField& field) {
  if (const auto* const one = std::get_if<const Tensor*>(&field.value)) return add(list, std::string(field.name), **one);
  if (const auto* const perhaps = std::get_if<const std::optional<Tensor>*>(&field.value)) {
    if (**perhaps) add(list, std::string(field.name), ***perhaps);
    return;
  }
  const std::vector<Tensor>& several = *std::get<const std::vector<Tensor>*>(field.value);
  for (std::size_t i = 0; i < several.size(); ++i) add(list, fmt::format("{}.{}", field.name, i), several[i]);
}

// The field of that name; null for kv_cache_inputs, which is no field of tensors.
Result<const InputField*> field_named(std::span<const InputField> fields, std::string_view name) {
  for (const InputField& field : fields)
    if (field.name == name) return &field;
  if (name == "kv_cache_inputs") return nullptr;
  std::string known;
  for (const InputField& field : fields) known += fmt::format("{}, ", field.name);
  return fail(ErrorCode::kBadRequest, fmt::format("these inputs have no '{}'; they have {}kv_cache_inputs", name, known));
}

} // namespace

std::string_view detail::next_field_name(std::string_view& names) noexcept {
  const std::size_t begin = std::min(names.find_first_not_of(" ,\n"), names.size());
  const std::size_t end = std::min(names.find_first_of(" ,\n", begin), names.size());
  const std::string_view name = names.substr(begin, end - begin);
  names.remove_prefix(end);
  return name;
}

std::vector<NamedTensor> KvCacheInputs::list() const {
  std::vector<NamedTensor> list;
  for (std::size_t device = 0; device < devices.size(); ++device) {
    const KvDeviceInputs& inputs = devices[device];
    const std::string kv = devices.size() > 1 ? fmt::format("kv{}", device) : "kv";
    const auto add_groups = [&](std::string_view leaf, Tensor KvGroupTensors::*member) {
      for (std::size_t group = 0; group < inputs.groups.size(); ++group)
        add(list, inputs.groups.size() > 1 ? fmt::format("{}.{}.{}", kv, leaf, group) : fmt::format("{}.{}", kv, leaf),
            inputs.groups[group].*member);
    };
    add_groups("blocks", &KvGroupTensors::blocks);
    add(list, kv + ".cache_lengths", inputs.cache_lengths);
    add_groups("lookup_table", &KvGroupTensors::lookup_table);
    add_groups("state_rows", &KvGroupTensors::state_rows);
    add(list, kv + ".max_lengths", inputs.max_lengths);
  }
  return list;
}

// ---- Inputs ---------------------------------------------------------------------------------------------------------------

ModelInputs::Iterator::Iterator(std::vector<NamedTensor> tensors) {
  if (!tensors.empty()) tensors_ = std::make_shared<const std::vector<NamedTensor>>(std::move(tensors));
}

std::vector<NamedTensor> ModelInputs::named_tensors() const {
  std::vector<NamedTensor> list;
  for (const ConstInputField& field : declared_fields()) add_field(list, field);
  add_field(list, {"lora_ids", &lora_ids});
  add_field(list, {"lora_ranks", &lora_ranks});
  if (kv_cache_inputs)
    for (NamedTensor& leaf : kv_cache_inputs->list()) list.push_back(std::move(leaf));
  return list;
}

std::vector<Tensor> ModelInputs::list() const {
  std::vector<Tensor> tensors;
  for (const NamedTensor& input : *this) tensors.push_back(input.tensor);
  return tensors;
}

Tensor ModelInputs::find(std::string_view name) const {
  for (const NamedTensor& input : *this)
    if (input.name == name) return input.tensor;
  return {};
}

std::vector<InputField> ModelInputs::all_fields() {
  std::vector<InputField> fields = declared_fields();
  fields.push_back({"lora_ids", &lora_ids});
  fields.push_back({"lora_ranks", &lora_ranks});
  return fields;
}

Result<void> ModelInputs::update(std::span<const InputUpdate> values) {
  const std::vector<InputField> fields = all_fields();
  std::vector<const InputField*> targets;
  for (const InputUpdate& value : values) {
    PLIMSOLL_ASSIGN(const InputField* const field, field_named(fields, value.name));
    if (field == nullptr || std::holds_alternative<std::vector<Tensor>*>(field->value))
      return fail(ErrorCode::kBadRequest, fmt::format("the input '{}' is more than one tensor; assign the member itself", value.name));
    targets.push_back(field);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::optional<Tensor>& value = values[i].value;
    if (!value) continue;
    if (Tensor* const* const one = std::get_if<Tensor*>(&targets[i]->value)) **one = *value;
    else *std::get<std::optional<Tensor>*>(targets[i]->value) = value;
  }
  return {};
}

Result<void> ModelInputs::update(std::initializer_list<InputUpdate> values) { return update(std::span(values.begin(), values.size())); }

Result<void> ModelInputs::update(std::string_view name, std::optional<Tensor> value) { return update({{name, std::move(value)}}); }

Result<void> ModelInputs::clear(std::string_view name) {
  const std::vector<InputField> fields = all_fields();
  PLIMSOLL_ASSIGN(const InputField* const field, field_named(fields, name));
  if (field == nullptr) kv_cache_inputs.reset();
  else if (Tensor* const* const one = std::get_if<Tensor*>(&field->value)) **one = Tensor();
  else if (std::optional<Tensor>* const* const perhaps = std::get_if<std::optional<Tensor>*>(&field->value)) (*perhaps)->reset();
  else std::get<std::vector<Tensor>*>(field->value)->clear();
  return {};
}

// ---- Outputs --------------------------------------------------------------------------------------------------------------

Result<ModelOutputs> ModelOutputs::create(Tensor logits, std::optional<Tensor> next_token_logits, std::optional<Tensor> logit_offsets) {
  const auto is_matrix = [](const Tensor& tensor) {
    return !tensor.empty() && tensor.type() == ElementType::kFloat32 && tensor.shape().size() == 2;
  };
  const auto wrong = [](std::string_view name, std::string_view expected, const Tensor& tensor) {
    return fail(ErrorCode::kBadRequest, fmt::format("output '{}': expected {}, got {}", name, expected, tensor.description()));
  };
  if (!is_matrix(logits)) return wrong("logits", "float32 [rows, vocabulary]", logits);
  ModelOutputs outputs;
  const std::uint64_t rows = logits.shape()[0];
  outputs.vocab_ = logits.shape()[1];
  outputs.batch_ = rows;
  if (logit_offsets) {
    if (logit_offsets->empty() || logit_offsets->shape().size() != 1 || logit_offsets->elements() == 0)
      return wrong("logit_offsets", "uint32 [batch + 1]", *logit_offsets);
    const auto values = logit_offsets->values<std::uint32_t>();
    if (!values) return wrong("logit_offsets", "uint32 [batch + 1] on the host", *logit_offsets);
    if (!std::is_sorted(values->begin(), values->end()) || values->front() != 0 || values->back() != rows)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("output 'logit_offsets': expected offsets that rise from 0 to {}, the rows of the logits; got {}", rows,
                              fmt::join(values->first(std::min<std::size_t>(values->size(), 16)), ", ")));
    outputs.batch_ = values->size() - 1;
  }
  if (next_token_logits) {
    if (!is_matrix(*next_token_logits) || next_token_logits->shape()[1] != outputs.vocab_ ||
        next_token_logits->shape()[0] != outputs.batch_)
      return wrong("next_token_logits", fmt::format("float32 [{}, {}]", outputs.batch_, outputs.vocab_), *next_token_logits);
  }
  outputs.logits_ = std::move(logits);
  outputs.next_token_logits_ = std::move(next_token_logits);
  outputs.logit_offsets_ = std::move(logit_offsets);
  return outputs;
}

Result<std::span<const float>> ModelOutputs::rows_of(std::uint64_t request) const {
  if (request >= batch_) return fail(ErrorCode::kBadRequest, fmt::format("request {} of a batch of {}", request, batch_));
  PLIMSOLL_ASSIGN(const std::span<const float> rows, logits_.values<float>());
  std::uint64_t begin = request, end = request + 1;
  if (logit_offsets_) {
    PLIMSOLL_ASSIGN(const std::span<const std::uint32_t> offsets, logit_offsets_->values<std::uint32_t>());
    begin = offsets[request];
    end = offsets[request + 1];
  }
  return rows.subspan(begin * vocab_, (end - begin) * vocab_);
}

Result<std::span<const float>> ModelOutputs::next_token_row(std::uint64_t request) const {
  if (next_token_logits_ && request < batch_) {
    PLIMSOLL_ASSIGN(const std::span<const float> rows, next_token_logits_->values<float>());
    return rows.subspan(request * vocab_, vocab_);
  }
  PLIMSOLL_ASSIGN(const std::span<const float> rows, rows_of(request));
  if (rows.empty()) return fail(ErrorCode::kBadRequest, fmt::format("request {} has no row of logits in these outputs", request));
  return rows.last(vocab_);
}

} // namespace plimsoll
