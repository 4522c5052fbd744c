// A list of things to be named one by one, each with the file it was met in: the first thousand in the order of the files,
// whichever worker met them. Never grows beyond that. Threads: plain values; lists of several threads are added up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

namespace plimsoll {

template <class Tensor>
class Named {
public:
  static constexpr std::size_t kMost = 1000;
  bool full() const { return list_.size() == kMost; }
  std::size_t size() const { return list_.size(); }
  const Tensor& front() const { return list_.front().tensor; }
  // Files come in ascending order.
  void add(std::uint32_t file_index, Tensor tensor) {
    if (!full()) list_.push_back({file_index, std::move(tensor)});
  }
  void add(const Named& other) {
    std::vector<InFile> both;
    std::merge(list_.begin(), list_.end(), other.list_.begin(), other.list_.end(), std::back_inserter(both),
               [](const InFile& a, const InFile& b) { return a.file_index < b.file_index; });
    if (both.size() > kMost) both.resize(kMost);
    list_ = std::move(both);
  }
  std::vector<Tensor> list() const {
    std::vector<Tensor> out;
    for (const InFile& entry : list_) out.push_back(entry.tensor);
    return out;
  }

private:
  struct InFile {
    std::uint32_t file_index = 0;
    Tensor tensor;
  };
  std::vector<InFile> list_;
};

} // namespace plimsoll
