#include "remote/remote_model.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

#include "base/words.hpp"
#include "checkpoint/quoted_name.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostUrl = 2'048, kMostSegment = 200;

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

std::optional<unsigned> hex_digit(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const std::size_t at = kDigits.find(lower_case({&c, 1}));
  return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<unsigned>(at));
}

// "a%20b" is "a b"; nothing where an escape is none.
std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    if (at + 2 >= text.size()) return std::nullopt;
    const auto high = hex_digit(text[at + 1]), low = hex_digit(text[at + 2]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>(*high * 16 + *low);
    at += 2;
  }
  return out;
}

// A part of a repository's name.
bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 96 || text.front() == '.' || text.front() == '-' || text.find("..") != std::string_view::npos)
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    if (slash > 0) parts.push_back(text.substr(0, slash));
    text.remove_prefix(std::min(slash + 1, text.size()));
  }
  return parts;
}

tl::unexpected<Error> no_model(std::string_view model, std::string_view why) {
  return fail(ErrorCode::kBadRequest, std::string(why), quoted_name(model));
}

constexpr std::string_view kForms = "hf://ORG/NAME[@REVISION][:TAG], https://huggingface.co/ORG/NAME, or the URL of a folder with a "
                                    "config.json or of a .gguf file was expected";

// A file's kind by its name: what planning can begin with.
Result<void> check_file(std::string_view model, std::string_view file) {
  if (file.ends_with(".safetensors"))
    return no_model(model, "one safetensors file is no model; give the URL of its repository or its folder");
  if (file.ends_with(".safetensors.index.json")) return no_model(model, "this is the index of a checkpoint; give the URL of its folder");
  if (file.ends_with(".gguf") || file.ends_with(".json")) return {};
  return no_model(model, "the URL is of a file that is no model; that of a folder, a config.json or a .gguf file was expected");
}

void set_folder(RemoteModel& out) {
  out.folder_url =
      fmt::format("{}/{}/resolve/{}/{}", out.endpoint, out.repository, escaped_path(out.revision, true), escaped_path(out.folder));
}

// `path` lies inside the repository: a file that can be planned, or a folder.
Result<void> set_path(RemoteModel& out, std::string_view model, std::string_view path, bool is_folder) {
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!path.empty() && !is_safe_path(path)) return no_model(model, "the path in the URL is none of a file in a repository");
  if (is_folder) {
    if (!path.empty()) out.folder = std::string(path) + "/";
  } else {
    const std::size_t name = path.rfind('/') + 1; // npos + 1: all of it
    out.folder = path.substr(0, name);
    out.file = path.substr(name);
    PLIMSOLL_TRY(check_file(model, out.file));
  }
  set_folder(out);
  return {};
}

bool is_revision(std::string_view text) { return text.size() <= kMostSegment && is_safe_path(text); }

Result<void> set_tag(RemoteModel& out, std::string_view model, std::string_view tag) {
  const bool right = !tag.empty() && tag.size() <= 64 &&
                     std::all_of(tag.begin(), tag.end(), [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
  if (!right) return no_model(model, "the text behind ':' is no name of a quantisation, such as Q4_K_M");
  out.tag = tag;
  return {};
}

// ORG/NAME[@REVISION][/FILE][:TAG]
Result<RemoteModel> short_form(std::string_view model, std::string_view rest, std::string_view endpoint) {
  RemoteModel out;
  out.endpoint = endpoint;
  out.revision = "main";
  if (const std::size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
    PLIMSOLL_TRY(set_tag(out, model, rest.substr(colon + 1)));
    rest = rest.substr(0, colon);
  }
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.starts_with("datasets/") || rest.starts_with("spaces/") || rest.starts_with("buckets/"))
    return no_model(model, "this is no repository of a model");
  if (rest.starts_with("models/")) rest.remove_prefix(7);
  std::string_view path;
  const std::size_t at = rest.find('@');
  if (at != std::string_view::npos) { // a revision may have slashes of its own: refs/pr/1
    std::string_view revision = rest.substr(at + 1);
    rest = rest.substr(0, at);
    const std::size_t skipped = revision.starts_with("refs/") ? revision.find('/', revision.find('/') + 1) : 0;
    if (skipped != std::string_view::npos) {
      const std::size_t slash = revision.find('/', skipped == 0 ? 0 : skipped + 1);
      if (slash != std::string_view::npos) {
        path = revision.substr(slash + 1);
        revision = revision.substr(0, slash);
      }
    }
    const std::optional<std::string> plain = unescaped(revision);
    if (!plain || !is_revision(*plain)) return no_model(model, "the text behind '@' is no branch, tag or commit");
    out.revision = *plain;
  } else if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    if (const std::size_t second = rest.find('/', slash + 1); second != std::string_view::npos) {
      path = rest.substr(second + 1);
      rest = rest.substr(0, second);
    }
  }
  const std::vector<std::string_view> parts = split(rest);
  if (parts.empty() || parts.size() > 2 || !std::all_of(parts.begin(), parts.end(), is_name))
    return no_model(model, fmt::format("this names no repository; {}", kForms));
  out.repository = rest;
  const bool is_file = path.ends_with(".gguf") || path.ends_with(".json") || path.ends_with(".safetensors");
  if (is_file && !out.tag.empty()) return no_model(model, "a file and a quantisation behind ':' are given; leave out one of them");
  PLIMSOLL_TRY(set_path(out, model, path, !is_file));
  return out;
}

// What stands behind https://huggingface.co/.
Result<RemoteModel> hub_page(std::string_view model, std::string_view path, std::string_view endpoint) {
  const std::vector<std::string_view> parts = split(path);
  static constexpr std::array<std::string_view, 5> kViews{"tree", "blob", "resolve", "raw", "commit"};
  const auto view = std::find_if(parts.begin(), parts.end(),
                                 [](std::string_view part) { return std::find(kViews.begin(), kViews.end(), part) != kViews.end(); });
  const auto names = static_cast<std::size_t>(view - parts.begin());
  if (view == parts.end() || names == 0 || names > 2) { // the page itself
    while (path.ends_with('/')) path.remove_suffix(1);
    return short_form(model, path, endpoint);
  }
  RemoteModel out;
  out.endpoint = endpoint;
  for (std::size_t i = 0; i < names; ++i) {
    if (!is_name(parts[i])) return no_model(model, fmt::format("this names no repository; {}", kForms));
    out.repository += fmt::format("{}{}", i == 0 ? "" : "/", parts[i]);
  }
  if (parts.size() == names + 1) return no_model(model, fmt::format("a revision was expected behind '{}'", *view));
  const std::optional<std::string> revision = unescaped(parts[names + 1]);
  if (!revision || !is_revision(*revision)) return no_model(model, "the URL's revision is no branch, tag or commit");
  out.revision = *revision;
  std::string inner;
  for (std::size_t i = names + 2; i < parts.size(); ++i) {
    const std::optional<std::string> part = unescaped(parts[i]);
    if (!part) return no_model(model, "the URL has an escape that is none");
    inner += fmt::format("{}{}", inner.empty() ? "" : "/", *part);
  }
  PLIMSOLL_TRY(set_path(out, model, inner, *view == "tree" || inner.empty()));
  return out;
}

// Any server's.
Result<RemoteModel> plain_url(std::string_view model, std::string_view scheme, std::string_view rest) {
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view path = rest.substr(slash);
  if (path.find("//") != std::string_view::npos) return no_model(model, "the URL's path has an empty part");
  RemoteModel out;
  const std::size_t last = path.rfind('/');
  const std::string_view name = last == std::string_view::npos ? std::string_view() : path.substr(last + 1);
  const bool is_file = name.ends_with(".gguf") || name.ends_with(".json") || name.ends_with(".safetensors");
  if (is_file) {
    const std::optional<std::string> plain = unescaped(name);
    if (!plain) return no_model(model, "the URL has an escape that is none");
    out.file = *plain;
    PLIMSOLL_TRY(check_file(model, out.file));
    path = path.substr(0, last);
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  for (const std::string_view part : split(path)) {
    const std::optional<std::string> plain = unescaped(part);
    if (!plain || plain->find('/') != std::string::npos || !is_safe_path(*plain) || part.size() > kMostSegment)
      return no_model(model, "the URL's path has a part that is none of a folder");
  }
  if (!out.file.empty() && (out.file.find('/') != std::string::npos || !is_safe_path(out.file)))
    return no_model(model, "the URL's file has a name that none can have");
  out.folder_url = fmt::format("{}://{}{}/", scheme, lower_case(rest.substr(0, slash)), path);
  return out;
}

// `rest` behind `prefix`, whatever the case of the host's letters.
bool behind(std::string_view text, std::string_view prefix, std::string_view& rest) {
  if (text.size() < prefix.size() || lower_case(text.substr(0, prefix.size())) != lower_case(prefix)) return false;
  rest = text.substr(prefix.size());
  if (!rest.empty() && rest.front() != '/') return false;
  if (!rest.empty()) rest.remove_prefix(1);
  return true;
}

} // namespace

bool is_remote(std::string_view model) {
  const std::string start = lower_case(model.substr(0, 16));
  return start.starts_with("hf:") || start.starts_with("hf.co/") || start.starts_with("huggingface.co/") ||
         model.substr(0, 16).find("://") != std::string_view::npos;
}

Result<RemoteModel> parse_remote(std::string_view model, std::string_view endpoint) {
  if (model.size() > kMostUrl)
    return no_model(model, fmt::format("the URL has {} characters, expected at most {}", model.size(), kMostUrl));
  if (std::any_of(model.begin(), model.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '\\'; }))
    return no_model(model, "the URL has a space, a backslash or a control character");
  std::string_view rest;
  for (const std::string_view scheme : {"hf://", "hf:"})
    if (lower_case(model.substr(0, scheme.size())) == scheme) return short_form(model, model.substr(scheme.size()), endpoint);
  // A page of the hub is the same whatever is asked of it; elsewhere a query may be a password.
  const std::size_t query = model.find_first_of("?#");
  const std::string_view page = model.substr(0, query);
  for (const std::string_view host : {"hf.co", "huggingface.co"})
    for (const std::string_view scheme : {"", "https://", "https://www."})
      if (behind(page, fmt::format("{}{}", scheme, host), rest)) return hub_page(page, rest, scheme.empty() ? endpoint : kHub);
  if (query != std::string_view::npos)
    return no_model(page, "the URL has a query or a fragment, which a plan would repeat; give it without one");
  const std::size_t colon = model.find("://");
  const std::string scheme = lower_case(model.substr(0, std::min(colon, model.size())));
  if (colon == std::string_view::npos || (scheme != "https" && scheme != "http"))
    return no_model(model, fmt::format("nothing is fetched by '{}'; {}", quoted_name(scheme.substr(0, 20)), kForms));
  rest = model.substr(colon + 3);
  const std::string_view host = rest.substr(0, std::min(rest.find('/'), rest.size()));
  if (host.find('@') != std::string_view::npos)
    return fail(ErrorCode::kBadRequest,
                "the URL has a name or a password, which a plan would repeat; set HF_TOKEN, or use a proxy that knows it",
                fmt::format("{}://...", scheme));
  if (host.empty() || host.front() == '.' || !std::all_of(host.begin(), host.end(), [](char c) {
        return is_alphanumeric(c) || c == '-' || c == '.' || c == ':' || c == '[' || c == ']';
      }))
    return no_model(model, "the URL has no name of a host");
  if (behind(model, endpoint, rest)) return hub_page(model, rest, endpoint);
  return plain_url(model, scheme, model.substr(colon + 3));
}

Result<RemoteModel> hub_repository(std::string_view name, std::string_view endpoint) { return short_form(name, name, endpoint); }

std::string escaped_path(std::string_view path, bool is_segment) {
  std::string out;
  for (const char c : path) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && !is_segment)) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1'024 || path.front() == '/' || path.back() == '/' || path.find("//") != std::string_view::npos)
    return false;
  if (std::any_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\'; }))
    return false;
  const std::vector<std::string_view> parts = split(path);
  return std::all_of(parts.begin(), parts.end(),
                     [](std::string_view part) { return part != "." && part != ".." && part.size() <= kMostSegment; });
}

std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  return lower_case(url.substr(0, std::min(url.find('/'), url.size())));
}

} // namespace plimsoll
