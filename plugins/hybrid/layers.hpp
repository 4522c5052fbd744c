// Which layers of a hybrid model have which mixer and which FFN, from the keys that the families spell it with. Called once per
// loaded model; refuses more than 4096 layers and lists of another length. Pure, any thread.
#pragma once

#include "model.hpp"

namespace hybrid {

constexpr std::uint64_t kMaxLayers = 4096;

std::uint32_t layer_count(const Config& config);

// The layers whose entry of a list of words is `word`; E_CONFIG where an entry is none of `known`.
std::vector<std::string> words(const Config& config, const char* pointer, std::uint32_t n, std::initializer_list<std::string_view> known);
List where(const std::vector<std::string>& kinds, std::initializer_list<std::string_view> kinds_wanted);
List without(std::uint32_t n, const List& taken);

// Layers i with i % period == offset.
List periodic(std::uint32_t n, std::uint64_t period, std::uint64_t offset);

// The layers that a list of numbers names.
List numbers(const Config& config, const char* pointer, std::uint32_t n);

// Mixers as Nemotron-H spells them: a letter per layer (M mamba, * attention, - mlp, E experts) or a word.
std::vector<std::string> nemotron_blocks(const Config& config, const char* letters, const char* spelled);

} // namespace hybrid
