// A tower that one function lists: it reads the sizes once, keeps them in a callable that declares the tensors, and says what the
// largest image and the longest sound are. For towers whose tensors need no class of their own. Immutable; threads: any.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "tower.hpp"

namespace vlm {

class Listed final : public Tower {
public:
  using List = std::function<void(const plimsoll::Sink&)>;
  Listed(List list, const Media& image, const Media& sound) : list_(std::move(list)), image_(image), sound_(sound) {}

  void weights(const plimsoll::Sink& out) const override { list_(out); }
  Media largest_image() const override { return image_; }
  Media longest_sound() const override { return sound_; }

private:
  List list_;
  Media image_, sound_;
};

// `list` must keep what it needs by value.
inline std::unique_ptr<Tower> listed(Listed::List list, const Media& image, const Media& sound = {}) {
  return std::make_unique<Listed>(std::move(list), image, sound);
}

} // namespace vlm
