#include "checkpoint/locate.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <system_error>
#include <utility>

#include "base/digit.hpp"
#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "base/words.hpp"
#include "checkpoint/known_models.hpp"
#include "checkpoint/model_name.hpp"
#include "checkpoint/quoted_name.hpp"
#include "checkpoint/safetensors_index.hpp"
#include "checkpoint/saved_ranks.hpp"
#include "checkpoint/shard_names.hpp"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kEntryLimit = 100'000;
constexpr std::string_view kConfigName = "config.json";
constexpr std::string_view kParamsName = "params.json"; // of Mistral's own format
constexpr std::string_view kIndexName = "model.safetensors.index.json";
constexpr std::string_view kIndexSuffix = ".safetensors.index.json";
constexpr std::string_view kShardSuffix = ".safetensors";
constexpr std::string_view kGgufSuffix = ".gguf";

using Names = std::vector<std::string>; // sorted file names without a directory

struct Listing {
  Names names;
  bool folders = false; // there are some among them
};

std::string joined(const std::string& directory, std::string_view name) { return (fs::path(directory) / name).string(); }

bool contains(const Names& names, std::string_view name) { return std::binary_search(names.begin(), names.end(), name); }

Names ending_with(const Names& names, std::string_view suffix) {
  Names found;
  for (const std::string& name : names)
    if (name.size() > suffix.size() && name.ends_with(suffix)) found.push_back(name);
  return found;
}

std::string some_of(const Names& names) {
  constexpr std::size_t kShown = 4;
  Names shown;
  for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i) shown.push_back(quoted_name(names[i]));
  return fmt::format("{}{}", fmt::join(shown, ", "), names.size() > kShown ? ", ..." : "");
}

Result<Listing> list_directory(const std::string& directory) {
  std::error_code error, ignored;
  Listing listing;
  Names& names = listing.names;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (names.size() == kEntryLimit)
      return fail(ErrorCode::kBadCheckpoint, fmt::format("the directory has more than {} entries; give the model's own", kEntryLimit),
                  directory);
    names.push_back(it->path().filename().string());
    listing.folders = listing.folders || (!it->is_symlink(ignored) && it->is_directory(ignored)); // both asked of the listing, not the disk
  }
  if (error) return fail(ErrorCode::kBadCheckpoint, fmt::format("cannot list the directory: {}", error.message()), directory);
  std::sort(names.begin(), names.end());
  return listing;
}

// Files that belong together by stem and count; a file without a number is a family of its own.
std::map<std::string, Names> families(const Names& names) {
  std::map<std::string, Names> found;
  for (const std::string& name : names) {
    const auto shard = parse_shard_name(name);
    found[shard ? fmt::format("{}*-of-{}{}", shard->stem, shard->count_text, shard->extension) : name].push_back(name);
  }
  return found;
}

bool is_numbered(const std::string& name) { return parse_shard_name(name).has_value(); }

Result<void> complete(const Names& family, const std::string& directory) {
  if (const Names missing = missing_shards(family); !missing.empty())
    return fail(ErrorCode::kBadCheckpoint, fmt::format("the checkpoint lacks {}; fetch the missing files", some_of(missing)),
                joined(directory, missing.front()));
  return {};
}

void set_shards(ModelFiles& files, CheckpointFormat format, const std::string& directory, const Names& names) {
  files.format = format;
  files.folder_bytes = joined(directory, "x").size() - 1;
  for (const std::string& name : names) files.shards.push_back(joined(directory, name));
}

// Whether a shard that an index names is there. In a folder below the model's own that folder must be no link that leads out;
// the file itself may be one, as all files are in the Hugging Face cache.
Result<bool> is_there(const std::string& directory, const Names& names, const std::string& shard) {
  if (shard.find('/') == std::string::npos) return contains(names, shard);
  std::error_code error;
  const fs::path home = fs::canonical(directory, error);
  const fs::path folder = error ? fs::path() : fs::canonical(fs::path(joined(directory, shard)).parent_path(), error);
  if (error) return false;
  if (std::mismatch(home.begin(), home.end(), folder.begin(), folder.end()).first != home.end())
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the index names {}, whose folder is a link that leads out of the model's folder; put the files where the "
                            "index says",
                            quoted_name(shard)),
                joined(directory, shard));
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(joined(directory, shard)));
  return kind != PathKind::kMissing;
}

// With an index. Where the directory's safetensors files are one complete set, these are the shards (the scan compares them
// with the index); otherwise, and where it names files in folders, the index says which files count.
Result<Names> shards_by_index(const std::string& index_path, const std::string& directory, const Listing& listing) {
  const Names present = ending_with(listing.names, kShardSuffix);
  const auto groups = families(present);
  const bool complete_set = groups.size() == 1 && is_numbered(present.front()) && missing_shards(present).empty();
  if (complete_set && !listing.folders) return present;
  if (!listing.folders && present.empty())
    return fail( // but where there is a config.json, add_safetensors()
        ErrorCode::kBadCheckpoint,
        "there is an index but not one of the shards it names; fetch them, or give config.json alone under another name", index_path);
  PLIMSOLL_ASSIGN(IndexSummary index, read_safetensors_index(index_path));
  const auto in_folder = [](const std::string& shard) { return shard.find('/') != std::string::npos; };
  if (complete_set && std::none_of(index.shards.begin(), index.shards.end(), in_folder)) return present;
  Names missing;
  for (const std::string& shard : index.shards) {
    PLIMSOLL_ASSIGN(const bool there, is_there(directory, listing.names, shard));
    if (!there) missing.push_back(shard);
  }
  if (!missing.empty())
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the index names {}, which the directory lacks; fetch the missing files", some_of(missing)),
                joined(directory, missing.front()));
  return std::move(index.shards);
}

// Without an index: model.safetensors, else a numbered set, else every file that is no consolidated copy and no adapter.
Result<Names> shards_by_name(const std::string& directory, const Names& present) {
  if (contains(present, "model.safetensors")) return Names{"model.safetensors"};
  std::vector<Names> numbered;
  Names others, copies;
  for (auto& [key, family] : families(present)) {
    if (is_numbered(family.front())) numbered.push_back(family);
    else (family.front().starts_with("consolidated") || family.front().starts_with("adapter") ? copies : others).push_back(family.front());
  }
  if (numbered.size() > 1) {
    std::vector<Names> main;
    for (const Names& family : numbered)
      if (family.front().starts_with("model-") || family.front().starts_with("model_")) main.push_back(family);
    if (main.size() != 1)
      return fail(ErrorCode::kBadCheckpoint,
                  fmt::format("the directory holds {} sets of shards ({}, {}, ...) and no index says which is meant; keep one",
                              numbered.size(), quoted_name(numbered[0].front()), quoted_name(numbered[1].front())),
                  directory);
    numbered = std::move(main);
  }
  if (numbered.size() == 1) {
    PLIMSOLL_TRY(complete(numbered.front(), directory));
    return numbered.front();
  }
  return others.empty() ? copies : others;
}

Result<void> add_safetensors(ModelFiles& files, const std::string& directory, const Listing& listing) {
  const Names& names = listing.names;
  const Names indexes = ending_with(names, kIndexSuffix);
  Names present = ending_with(names, kShardSuffix);
  for (const std::string& name : present)
    if (is_rank_part(name)) files.rank_parts.push_back(joined(directory, name));
  std::erase_if(present, is_rank_part);                                    // no tensor of them is whole
  if (present.empty() && !listing.folders && files.config_path) return {}; // left_out() has the word for it
  std::string_view index;
  if (contains(names, kIndexName)) index = kIndexName;
  else if (indexes.size() == 1 && !contains(present, "model.safetensors")) index = indexes.front();
  if (present.empty() && index.empty()) return {};
  files.rank_parts.clear(); // beside a checkpoint that anybody can load
  if (!index.empty()) {
    files.index_path = joined(directory, index);
    PLIMSOLL_ASSIGN(const Names shards, shards_by_index(*files.index_path, directory, listing));
    set_shards(files, CheckpointFormat::kSafetensors, directory, shards);
    return {};
  }
  PLIMSOLL_ASSIGN(const Names shards, shards_by_name(directory, present));
  set_shards(files, CheckpointFormat::kSafetensors, directory, shards);
  return {};
}

// The one model among a directory's GGUF files; projectors and importance matrices are none.
Result<void> add_gguf(ModelFiles& files, const std::string& directory, const Names& names) {
  Names models;
  for (const std::string& name : ending_with(names, kGgufSuffix))
    if (name.find("mmproj") == std::string::npos && name.find("imatrix") == std::string::npos) models.push_back(name);
  const auto groups = families(models);
  if (groups.empty()) return {};
  if (groups.size() > 1) {
    Names first;
    for (const auto& [key, family] : groups) first.push_back(family.front());
    return fail(ErrorCode::kBadRequest,
                fmt::format("the directory holds {} GGUF models ({}); give one of the files", groups.size(), some_of(first)), directory);
  }
  if (is_numbered(models.front())) PLIMSOLL_TRY(complete(models, directory));
  set_shards(files, CheckpointFormat::kGguf, directory, models);
  return {};
}

Result<void> add_config(ModelFiles& files, const std::string& directory) {
  const std::string config = joined(directory, kConfigName), quantization = joined(directory, "hf_quant_config.json");
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(config));
  if (kind == PathKind::kDirectory || kind == PathKind::kOther)
    return fail(ErrorCode::kBadConfig,
                fmt::format("expected a file, found {}", kind == PathKind::kDirectory ? "a directory" : "a pipe or a device"), config);
  if (kind == PathKind::kFile) files.config_path = config;
  if (kind == PathKind::kMissing) {
    PLIMSOLL_ASSIGN(const PathKind params, path_kind(joined(directory, kParamsName)));
    if (params == PathKind::kFile) files.config_path = joined(directory, kParamsName);
  }
  PLIMSOLL_ASSIGN(const PathKind quantization_kind, path_kind(quantization));
  if (quantization_kind == PathKind::kFile) files.hf_quant_config_path = quantization;
  return {};
}

Result<ModelFiles> in_directory(const std::string& directory, ModelOrigin origin) {
  ModelFiles files;
  files.origin = origin;
  PLIMSOLL_TRY(add_config(files, directory));
  PLIMSOLL_ASSIGN(const Listing listing, list_directory(directory));
  PLIMSOLL_TRY(add_safetensors(files, directory, listing));
  if (files.format == CheckpointFormat::kNone) PLIMSOLL_TRY(add_gguf(files, directory, listing.names));
  if (!files.config_path && files.format != CheckpointFormat::kGguf)
    return fail(ErrorCode::kBadConfig, "the directory has neither a config.json nor a GGUF model; give the directory of a checkpoint",
                directory);
  return files;
}

std::string parent_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<ModelFiles> gguf_file(const std::string& path) {
  ModelFiles files;
  files.origin = ModelOrigin::kGgufFile;
  const std::string name = fs::path(path).filename().string();
  if (!is_numbered(name)) {
    files.format = CheckpointFormat::kGguf;
    files.shards = {path};
    return files;
  }
  const std::string directory = parent_of(path);
  PLIMSOLL_ASSIGN(const Listing listing, list_directory(directory));
  for (const auto& [key, family] : families(ending_with(listing.names, fs::path(path).extension().string())))
    if (contains(family, name)) {
      PLIMSOLL_TRY(complete(family, directory));
      set_shards(files, CheckpointFormat::kGguf, directory, family);
    }
  return files;
}

Result<ModelFiles> config_file(const std::string& path) {
  if (path.ends_with(kIndexSuffix))
    return fail(ErrorCode::kBadRequest, "this is the index of a checkpoint; give its directory or its config.json", path);
  ModelFiles files;
  files.origin = ModelOrigin::kConfigFile;
  const std::string directory = parent_of(path);
  // A config under another name stands for itself; the real one speaks for the shards beside it.
  if (fs::path(path).filename() == kConfigName) {
    PLIMSOLL_TRY(add_config(files, directory));
    PLIMSOLL_ASSIGN(const Listing listing, list_directory(directory));
    PLIMSOLL_TRY(add_safetensors(files, directory, listing));
  }
  files.config_path = path;
  return files;
}

Result<ModelFiles> single_file(const std::string& path) {
  if (path.ends_with(kGgufSuffix)) return gguf_file(path);
  if (path.ends_with(".json")) return config_file(path);
  if (path.ends_with(kShardSuffix))
    return fail(ErrorCode::kBadRequest, "one safetensors file is no model; give the directory that holds it and its config.json", path);
  PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path, ErrorCode::kBadRequest));
  std::string start(std::min<std::uint64_t>(file.file_bytes(), 4), '\0');
  PLIMSOLL_TRY(file.read(0, start));
  if (start == "GGUF") return gguf_file(path);
  if (start.starts_with('{')) return config_file(path);
  return fail(ErrorCode::kBadRequest, "expected a directory, a config.json or a GGUF file; this file is neither", path);
}

std::optional<std::string> variable(const LocateOptions& options, const char* name) {
  std::optional<std::string> value;
  if (options.environment) value = options.environment(name);
  else if (const char* text = std::getenv(name)) value = text; // NOLINT(concurrency-mt-unsafe): nobody sets variables here
  if (value && value->empty()) return std::nullopt;
  return value;
}

std::string with_slash_as(std::string_view model, std::string_view replacement) {
  std::string out(model);
  if (const std::size_t slash = out.find('/'); slash != std::string::npos) out.replace(slash, 1, replacement);
  return out;
}

// What a commit may be called: the name of one folder.
bool is_commit(std::string_view text) {
  const auto name = parse_model_name(text);
  return name && name->text() == text && name->revision.empty() && name->gguf_tag.empty() && text.find('/') == std::string_view::npos;
}

// The snapshot directory of `revision`, or where it is empty the one that refs/main names, or the only one there is; nothing where the
// repository is not cached.
Result<std::optional<std::string>> cached_snapshot(const std::string& repository, const std::string& revision) {
  constexpr std::uint64_t kRefLimitBytes = 4096;
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(repository));
  if (kind != PathKind::kDirectory) return std::nullopt;
  const std::string snapshots = joined(repository, "snapshots"), ref = repository + "/refs/" + (revision.empty() ? "main" : revision);
  PLIMSOLL_ASSIGN(const PathKind snapshots_kind, path_kind(snapshots));
  if (snapshots_kind != PathKind::kDirectory) return std::nullopt;
  PLIMSOLL_ASSIGN(const PathKind ref_kind, path_kind(ref));
  if (ref_kind == PathKind::kFile || !revision.empty()) {
    std::string commit = revision; // of no branch or tag: a commit itself
    if (ref_kind == PathKind::kFile) {
      PLIMSOLL_ASSIGN(commit, read_text_file(ref, kRefLimitBytes, ErrorCode::kBadCheckpoint));
      while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r' || commit.back() == ' ')) commit.pop_back();
    }
    if (!is_commit(commit))
      return fail(ErrorCode::kBadCheckpoint, fmt::format("expected a commit, found {}; fetch the model again", quoted_name(commit)), ref);
    const std::string snapshot = joined(snapshots, commit);
    PLIMSOLL_ASSIGN(const PathKind snapshot_kind, path_kind(snapshot));
    if (snapshot_kind == PathKind::kDirectory) return snapshot;
    return std::nullopt;
  }
  PLIMSOLL_ASSIGN(const Listing listing, list_directory(snapshots));
  const Names& names = listing.names;
  if (names.empty()) return std::nullopt;
  if (names.size() > 1)
    return fail(ErrorCode::kBadRequest,
                fmt::format("the cache holds {} snapshots and none is marked as main; give one of the directories", names.size()),
                snapshots);
  return joined(snapshots, names.front());
}

// The GGUF files of a directory that `tag` picks, as hubs write it: the end of a file's name, or a folder of that name.
Result<ModelFiles> tagged_gguf(const std::string& directory, const std::string& tag) {
  const auto has_tag = [wanted = lower_case(tag)](std::string_view name) {
    const std::string stem = lower_case(name);
    return stem.ends_with(wanted) &&
           (stem.size() == wanted.size() || std::string_view("-._").find(stem[stem.size() - wanted.size() - 1]) != std::string_view::npos);
  };
  PLIMSOLL_ASSIGN(const Listing listing, list_directory(directory));
  Names found, present;
  for (const auto& [key, family] : families(ending_with(listing.names, kGgufSuffix))) {
    const auto shard = parse_shard_name(family.front());
    const std::string_view file = family.front();
    if (file.find("mmproj") != std::string_view::npos) continue;
    (has_tag(shard ? std::string_view(shard->stem) : file.substr(0, file.size() - kGgufSuffix.size())) ? found : present)
        .push_back(family.front());
  }
  if (found.size() == 1) return gguf_file(joined(directory, found.front()));
  if (found.empty() && listing.folders)
    for (const std::string& name : listing.names) {
      PLIMSOLL_ASSIGN(const PathKind kind, path_kind(joined(directory, name)));
      if (kind == PathKind::kDirectory && has_tag(name)) return in_directory(joined(directory, name), ModelOrigin::kHfCache);
    }
  if (found.empty())
    return fail(ErrorCode::kBadRequest,
                fmt::format("no GGUF file of the repository is {}{}", quoted_name(tag),
                            present.empty() ? "; it holds none" : fmt::format("; there is {}", some_of(present))),
                directory);
  return fail(ErrorCode::kBadRequest, fmt::format("{} may be {}; give one of the files", quoted_name(tag), some_of(found)), directory);
}

// What `name` means in a snapshot of its repository.
Result<ModelFiles> in_snapshot(const std::string& snapshot, const ModelName& name) {
  if (!name.gguf_tag.empty()) return tagged_gguf(snapshot, name.gguf_tag);
  if (name.file.ends_with(kGgufSuffix)) return gguf_file(joined(snapshot, name.file));
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(joined(snapshot, name.file)));
  return in_directory(kind == PathKind::kDirectory ? joined(snapshot, name.file) : snapshot, ModelOrigin::kHfCache);
}

// As it was meant: "Llama 3.1 8B" is Llama-3.1-8B, and shells end the name of a folder with a slash.
std::string without_blanks(std::string_view typed) {
  while (typed.starts_with(' ')) typed.remove_prefix(1);
  while (typed.ends_with(' ')) typed.remove_suffix(1);
  if (typed.ends_with('/')) typed.remove_suffix(1);
  std::string out(typed);
  std::replace(out.begin(), out.end(), ' ', '-');
  return out;
}

// "8b" of "qwen3:8b", which is no file.
bool is_size(std::string_view tag) { return tag.size() > 1 && (tag.ends_with('b') || tag.ends_with('B')) && is_digit(tag[tag.size() - 2]); }

class ByName {
public:
  explicit ByName(const LocateOptions& options) : catalogue_(options.catalogue_directory), cache_(hf_cache_directory(options)) {}

  Result<ModelFiles> find(const std::string& model) {
    std::optional<ModelName> name = parse_model_name(without_blanks(model));
    if (!name) return refuse(model, "no file or directory of that name", kWhatToGive);
    PLIMSOLL_ASSIGN(std::optional<ModelFiles> files, of_that_name(*name));
    if (files) return std::move(*files);
    if (cache_error_) return tl::unexpected(std::move(*cache_error_));
    PLIMSOLL_ASSIGN(const KnownNames known, find_known_model(name->repository, cache_, catalogue_));
    const std::string typed = std::exchange(name->repository, known.name);
    if (!known.name.empty()) {
      PLIMSOLL_ASSIGN(files, of_that_name(*name));
      if (!files && known.variant) {
        PLIMSOLL_ASSIGN(files, entry_of(*name, known.variant->model));
        if (files) files->changes = known.variant->changes;
        if (files) files->assumed = known.variant->assumed;
      }
      if (files) return std::move(*files);
      if (cache_error_) return tl::unexpected(std::move(*cache_error_));
    }
    std::string looked = "no file or directory of that name";
    if (!cache_.empty()) looked += fmt::format(", not in the Hugging Face cache ({})", cache_);
    if (!catalogue_.empty()) looked += ", not in the catalogue";
    if (!known.meant.empty()) return refuse(model, looked, fmt::format("it may be {}; give one of them", either(known.meant)));
    if (!known.name.empty())
      return refuse(model, looked,
                    fmt::format("the catalogue has {}, but neither its revisions nor its GGUF files; fetch it, or plan that", known.name));
    std::vector<std::string> nearest = known.nearest;
    if (is_size(name->gguf_tag)) {
      PLIMSOLL_ASSIGN(KnownNames sized, find_known_model(typed + "-" + name->gguf_tag, cache_, catalogue_));
      if (!sized.name.empty()) sized.meant.push_back(std::move(sized.name));
      nearest = sized.meant.empty() ? std::move(sized.nearest) : std::move(sized.meant);
    }
    const std::string near = nearest.empty() ? std::string() : fmt::format("did you mean {}; ", either(nearest));
    if (name->is_address)
      return refuse(model, looked,
                    fmt::format("{}nothing is downloaded: fetch it with `hf download {}` and give its name again", near, typed));
    return refuse(model, looked, near.empty() ? std::string(kWhatToGive) : near + "`plimsoll models` lists all");
  }

private:
  static constexpr std::string_view kWhatToGive = "give a directory, a config.json, a .gguf file or a name that `plimsoll models` lists";

  // The model of exactly that name: in the cache, else in the catalogue, which knows main revisions.
  Result<std::optional<ModelFiles>> of_that_name(const ModelName& name) {
    if (!cache_.empty()) {
      const std::string repository = joined(cache_, "models--" + with_slash_as(name.repository, "--"));
      PLIMSOLL_ASSIGN(const std::optional<std::string> snapshot, cached_snapshot(repository, name.revision));
      if (snapshot) {
        auto files = in_snapshot(*snapshot, name);
        if (files) files->name = name.text();
        // A snapshot without a config (of a tokenizer, say) is no model; the catalogue may still know it.
        if (files || files.error().code != ErrorCode::kBadConfig) return files;
        cache_error_ = std::move(files.error());
      }
    }
    return entry_of(name, name.repository);
  }

  // The entry `model` of the catalogue, under the name that was given.
  Result<std::optional<ModelFiles>> entry_of(const ModelName& name, const std::string& model) {
    if (catalogue_.empty() || !name.revision.empty() || !name.gguf_tag.empty() || name.file.ends_with(kGgufSuffix)) return std::nullopt;
    const std::string entry = joined(catalogue_, with_slash_as(model, "__") + ".json");
    PLIMSOLL_ASSIGN(const PathKind kind, path_kind(entry));
    if (kind != PathKind::kFile) return std::nullopt;
    ModelFiles files;
    files.origin = ModelOrigin::kCatalogue;
    files.name = name.repository;
    files.config_path = entry;
    return files;
  }

  static tl::unexpected<Error> refuse(const std::string& model, std::string_view looked, std::string_view advice) {
    return fail(ErrorCode::kBadRequest, fmt::format("found no model {}: {}; {}", quoted_name(model), looked, advice), "model");
  }

  std::string catalogue_, cache_;
  std::optional<Error> cache_error_;
};

} // namespace

std::optional<std::string> cached_folder(const std::string& name, const LocateOptions& options) {
  const std::optional<ModelName> parsed = parse_model_name(name);
  const std::string cache = hf_cache_directory(options);
  if (!parsed || cache.empty()) return std::nullopt;
  Result<std::optional<std::string>> snapshot =
      cached_snapshot(joined(cache, "models--" + with_slash_as(parsed->repository, "--")), parsed->revision);
  return snapshot ? std::move(*snapshot) : std::nullopt;
}

std::optional<std::string> environment_value(const LocateOptions& options, const char* name) { return variable(options, name); }

std::string hf_cache_directory(const LocateOptions& options) {
  if (const auto hub = variable(options, "HF_HUB_CACHE")) return *hub;
  if (const auto hub = variable(options, "HUGGINGFACE_HUB_CACHE")) return *hub;
  if (const auto home = variable(options, "HF_HOME")) return *home + "/hub";
  if (const auto cache = variable(options, "XDG_CACHE_HOME")) return *cache + "/huggingface/hub";
  if (const auto home = variable(options, "HOME")) return *home + "/.cache/huggingface/hub";
  return {};
}

Result<ModelFiles> locate_model(const std::string& model, const LocateOptions& options) {
  if (model.empty() || model.find('\0') != std::string::npos) return fail(ErrorCode::kBadRequest, "the model's name is empty or no text");
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(model));
  switch (kind) {
  case PathKind::kDirectory: return in_directory(model, ModelOrigin::kDirectory);
  case PathKind::kFile: return single_file(model);
  case PathKind::kOther: return fail(ErrorCode::kBadRequest, "expected a file or a directory, found a pipe, a socket or a device", model);
  case PathKind::kMissing: break;
  }
  return ByName(options).find(model);
}

} // namespace plimsoll
