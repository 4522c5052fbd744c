// What an encoder needs while it runs. The constants are the engine's: section `vision` of the profile's planner keys, by
// outer model_type, else `default`; no key, no bytes. Called per plan by the planner. Threads: immutable after construction.
#pragma once

#include <string>
#include <string_view>

#include "plimsoll/plugin.hpp"
#include "tower.hpp"

namespace vlm {

class Peak {
public:
  Peak(std::string_view model_type, const Media& image);
  // One transient item, phase "vision", on the ranks of the first stage. T is max_batch_input_tokens.
  void price(const plimsoll::Request& request, const plimsoll::Sink& out) const;

private:
  bool of_batch(const plimsoll::Request& request, const plimsoll::Sink& out) const;
  bool of_tiles(const plimsoll::Request& request, const plimsoll::Sink& out) const;
  void of_largest_image(const plimsoll::Request& request, const plimsoll::Sink& out) const;

  Media image_;
  std::string bytes_per_element_, tile_bytes_, token_bytes_, tile_tokens_, extra_tiles_;
};

} // namespace vlm
