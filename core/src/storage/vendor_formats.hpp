// Element types and storage formats that a plugin defines as data, in the `types` and `formats` of its manifest, for what its own planners
// declare. Called when a manifest is read; what is built in cannot be defined again. Threads: immutable once read.
//
//   types:   {acme_lat5: {block: 64, bytes: 42}}                    64 elements in 42 bytes
//   formats: {acme_q3: {bits_per_element: 3, block: 128, scales: [{type: float16, inputs: 128}]}}
//            per output 48 bytes for each 128 inputs, the last block filled up, and a float16 beside it, `x.weight_scale`
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "storage/storage.hpp"

namespace plimsoll {

inline constexpr std::size_t kMaxVendorTypes = 64;
inline constexpr std::size_t kMaxVendorFormats = 64;
inline constexpr std::size_t kMaxScales = 8; // of one format
inline constexpr std::int64_t kMaxTypeBlockBytes = 1 << 24;

struct VendorFormats {
  VendorFormats() = default;
  VendorFormats(const VendorFormats&) = delete; // types and formats point into `names`, and so do copies of them
  VendorFormats& operator=(const VendorFormats&) = delete;

  // nullptr for a name that is not defined here, those of the host among them.
  const Dtype* find_type(std::string_view name) const;
  const Storage* find_format(std::string_view name) const;
  // What a manifest without such keys has.
  static const std::shared_ptr<const VendorFormats>& none();

  std::deque<std::string> names;
  std::deque<Dtype> types;
  std::deque<Storage> formats;
  std::vector<std::string_view> scale_names; // for parse_stored_name: those that no exporter's format has
};

// Either may be nullptr. kPluginFailed with "<where>: <JSON pointer>".
Result<std::shared_ptr<const VendorFormats>> read_vendor_formats(const Json* types, const Json* formats, const std::string& where);

} // namespace plimsoll
