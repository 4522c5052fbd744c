// Declares vision tensors: every one counts as VISION, lies on the first stage and is named prefix + name. Linear layers say
// how they could be split over a tensor-parallel group; the engine's profile says whether they are. Threads: any, one object
// per call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace vlm {

class Tensors {
public:
  // Labels are "vision." + group + name.
  Tensors(const plimsoll::Sink& sink, std::string group, std::string prefix, const std::vector<std::uint32_t>* layers = nullptr)
      : sink_(sink), site_{std::move(prefix), "vision." + group, layers} {}

  // These tensors are stored, and no engine loads them where `loaded` is false.
  Tensors& loaded(bool loaded) {
    loaded_ = loaded;
    return *this;
  }

  // [out, in], quantizable, on every rank.
  void linear(std::string_view name, plimsoll::Bytes out, plimsoll::Bytes in, bool bias = true) const {
    sink_.weight(make(name, ".weight", {out, in}).linear(), bias);
  }
  // Split by its output rows, in whole heads where it has heads.
  void by_rows(std::string_view name, plimsoll::Bytes out, plimsoll::Bytes in, bool bias = true, std::uint64_t heads = 0) const {
    sink_.weight(make(name, ".weight", {out, in}).linear().parts(0, {{out.value(), heads}}), bias);
  }
  // Query, key and value fused into one linear layer.
  void qkv(std::string_view name, plimsoll::Bytes q, plimsoll::Bytes kv, plimsoll::Bytes in, bool bias, std::uint64_t heads,
           std::uint64_t kv_heads) const {
    const plimsoll::Part queries{q.value(), heads}, keys{kv.value(), kv_heads, kv_heads != heads};
    sink_.weight(make(name, ".weight", {q + kv * 2, in}).linear().parts(0, {queries, keys, keys}), bias);
  }
  // Split by its input columns.
  void by_columns(std::string_view name, plimsoll::Bytes out, plimsoll::Bytes in, bool bias = true, std::uint64_t heads = 0) const {
    sink_.weight(make(name, ".weight", {out, in}).linear().heads(1, heads), bias);
  }
  // Query, key and value in one tensor called name_weight, as a general attention module stores them.
  void in_proj(const std::string& name, plimsoll::Bytes width, std::uint64_t heads) const {
    const plimsoll::Part part{width.value(), heads};
    sink_.weight(make(name + "_weight", "", {width * 3, width}).linear().parts(0, {part, part, part}));
    sink_.weight(make(name + "_bias", "", {width * 3}).parts(0, {part, part, part}));
  }
  void norm(std::string_view name, plimsoll::Bytes n, bool bias) const { sink_.weight(make(name, ".weight", {n}), bias); }
  // A convolution over patches, with a temporal kernel [out, channels, frames, side, side].
  void convolution(std::string_view name, plimsoll::Bytes out, plimsoll::Bytes channels, plimsoll::Bytes side, bool bias,
                   plimsoll::Bytes frames = 0) const {
    if (frames == plimsoll::Bytes(0)) sink_.weight(make(name, ".weight", {out, channels, side, side}), false);
    else sink_.weight(make(name, ".weight", {out, channels, frames, side, side}), false);
    if (bias) sink_.weight(make(name, ".bias", {out}));
  }
  // A convolution over time.
  void convolution1d(std::string_view name, plimsoll::Bytes out, plimsoll::Bytes channels, plimsoll::Bytes kernel, bool bias = true) const {
    sink_.weight(make(name, ".weight", {out, channels, kernel}));
    if (bias) sink_.weight(make(name, ".bias", {out}));
  }
  // Whatever else: `name` is complete.
  void tensor(std::string_view name, std::initializer_list<plimsoll::Bytes> dims) const { sink_.weight(make(name, "", dims)); }

private:
  plimsoll::Weight make(std::string_view name, const char* suffix, std::initializer_list<plimsoll::Bytes> dims) const {
    plimsoll::Weight out = site_.weight(plimsoll::Aspect::kVision, name, std::string(name) + suffix, dims);
    if (!loaded_) out.role(plimsoll::Role::kUnused);
    return out.stage(plimsoll::Stage::kFirst);
  }
  const plimsoll::Sink& sink_;
  plimsoll::Site site_;
  bool loaded_ = true;
};

} // namespace vlm
