#include "plugin/stored_tensors.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "plugin/planner_tree.hpp"

namespace plimsoll {
namespace {

class Keeper : public TensorVisitor {
public:
  explicit Keeper(std::vector<StoredTensor>& out) : out_(out) {}
  Result<void> tensor(const TensorEntry& entry) override {
    out_.push_back(
        {std::string(entry.name), std::string(entry.dtype.name), {entry.shape().begin(), entry.shape().end()}, entry.stored_bytes});
    return {};
  }

private:
  std::vector<StoredTensor>& out_;
};

plimsoll_status hand_out(const StoredTensor* tensor, plimsoll_tensor* out) {
  if (tensor == nullptr) return PLIMSOLL_E_NOT_FOUND;
  plimsoll_tensor full{};
  full.struct_size = std::min(out->struct_size, PLIMSOLL_SIZE_THROUGH(plimsoll_tensor, stored_bytes));
  full.n_dims = static_cast<std::uint32_t>(std::min<std::size_t>(tensor->dims.size(), PLIMSOLL_MAX_DIMS));
  full.name = {tensor->name.data(), tensor->name.size()};
  full.dtype = {tensor->dtype.data(), tensor->dtype.size()};
  std::copy_n(tensor->dims.begin(), full.n_dims, full.dims);
  full.stored_bytes = tensor->stored_bytes;
  std::memcpy(out, &full, full.struct_size);
  return PLIMSOLL_OK;
}

// Asks the tree of a view, inside create; what fails in the host is an answer without tensors.
template <class Ask>
plimsoll_status ask(const plimsoll_view* view, const Ask& how) noexcept {
  if (view->tree == nullptr) return PLIMSOLL_E_ABI;
  try {
    StoredTensors* const stored = view->tree->stored_tensors();
    return stored == nullptr ? PLIMSOLL_E_ABI : how(*stored);
  } catch (const std::exception&) {
    return PLIMSOLL_E_MEMORY;
  }
}

std::uint64_t count(const plimsoll_view* view) noexcept {
  std::uint64_t n = 0;
  static_cast<void>(ask(view, [&](StoredTensors& stored) {
    n = stored.all().size();
    return PLIMSOLL_OK;
  }));
  return n;
}
plimsoll_status at(const plimsoll_view* view, std::uint64_t index, plimsoll_tensor* out) noexcept {
  return ask(view, [&](StoredTensors& stored) { return hand_out(index < stored.all().size() ? &stored.all()[index] : nullptr, out); });
}
plimsoll_status find(const plimsoll_view* view, plimsoll_str name, plimsoll_tensor* out) noexcept {
  return ask(view, [&](StoredTensors& stored) -> plimsoll_status {
    if (name.size > PLIMSOLL_MAX_PATTERN_BYTES) return PLIMSOLL_E_NOT_FOUND;
    return hand_out(stored.find(view->rename(std::string_view(name.data, name.size))), out);
  });
}

constexpr plimsoll_tensors kTable{PLIMSOLL_SIZE_THROUGH(plimsoll_tensors, find), 0, count, at, find};

bool before(const StoredTensor& tensor, std::string_view name) { return tensor.name < name; }

} // namespace

Result<std::vector<StoredTensor>> read_tensors(const Checkpoint& checkpoint) {
  std::vector<StoredTensor> out;
  Keeper keeper(out);
  PLIMSOLL_TRY(checkpoint.scan(keeper));
  return out;
}

TensorSource tensors_of(const Checkpoint* checkpoint) {
  if (checkpoint == nullptr) return {};
  return [checkpoint] { return read_tensors(*checkpoint).value_or(std::vector<StoredTensor>()); };
}

const std::vector<StoredTensor>& StoredTensors::all() {
  const TensorSource source = std::exchange(source_, {});
  if (!source) return tensors_;
  tensors_ = source();
  std::sort(tensors_.begin(), tensors_.end(), [](const StoredTensor& a, const StoredTensor& b) { return a.name < b.name; });
  return tensors_;
}

const StoredTensor* StoredTensors::find(std::string_view name) {
  const std::vector<StoredTensor>& tensors = all();
  const auto it = std::lower_bound(tensors.begin(), tensors.end(), name, before);
  return it == tensors.end() || it->name != name ? nullptr : &*it;
}

const plimsoll_tensors& tensors_table() { return kTable; }

} // namespace plimsoll
