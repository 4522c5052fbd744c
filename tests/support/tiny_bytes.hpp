// Float32 numbers as the bytes of a checkpoint's type. Called by the writers of tiny models. Threads: plain functions.
#pragma once

#include <span>
#include <string>

namespace plimsoll::test {

enum class TinyFormat { kF32, kF16, kBF16 };

// Little-endian, rounded to nearest, ties to even.
std::string tiny_bytes(std::span<const float> values, TinyFormat format);

} // namespace plimsoll::test
