-- A pandoc filter of scripts/fetch-upstream-docs: keeps what a page is about,
-- tells where its links lead within the site, and makes these lead to files.
-- The page is a stranger's: what is not plainly a path of the site is no link.

local origin = os.getenv("DOCS_ORIGIN") -- https://host
local page = os.getenv("DOCS_PAGE") -- /a/b, or / for the first one
local list = os.getenv("DOCS_LINKS") -- file to write them to

local found, seen = {}, {}

-- A path of the site without its last slash, or nil.
local function path_of(target)
	if target:sub(1, 2) == "//" then
		target = origin:match("^%a+:") .. target
	end
	if target:match("^%a[%w+.-]*:") then
		if target:sub(1, #origin) ~= origin then
			return nil
		end
		target = target:sub(#origin + 1)
		if target == "" or target:sub(1, 1) == "#" then
			target = "/"
		elseif target:sub(1, 1) ~= "/" then
			return nil -- host.example is not host
		end
	end
	target = target:gsub("#.*$", "")
	if target == "" then
		return nil -- within the page
	end
	-- No query, no escape, nothing that a file's name could be fooled with.
	if target:match("[^%w._~/-]") or #target > 500 then
		return nil
	end
	if target:sub(1, 1) ~= "/" then
		target = page:gsub("[^/]*$", "") .. target
	end
	local parts = {}
	for part in target:gmatch("[^/]+") do
		if part == ".." then
			table.remove(parts)
		elseif part:sub(1, 1) == "." and part ~= "." then
			return nil
		elseif #part > 100 then
			return nil
		elseif part ~= "." then
			parts[#parts + 1] = part
		end
	end
	if #parts > 12 then
		return nil
	end
	return "/" .. table.concat(parts, "/")
end

local function note(path)
	if not seen[path] then
		seen[path] = true
		found[#found + 1] = path
	end
end

local function collect(link)
	local path = path_of(link.target)

	if path then
		note(path)
	end
end

-- From one file to another, as they lie in the folder.
local function file_of(path)
	local up = page:sub(2):gsub("[^/]", ""):gsub("/", "../")

	return up .. (path == "/" and "index" or path:sub(2)) .. ".md"
end

local function rewrite(link)
	local path = path_of(link.target)

	if path then
		link.target = file_of(path)
	elseif link.target:sub(1, 1) ~= "#" and
	    not link.target:match("^https?://") then
		return link.content
	end
	link.attr = pandoc.Attr()
	return link
end

-- An image of the site stays where it is: this is about words.
local function describe(image)
	return image.caption
end

-- What stands beside the text goes, where the page says what its text is.
local function main_part(blocks)
	local main

	pandoc.walk_block(pandoc.Div(blocks), {
		Div = function(div)
			if not main and div.attributes.role == "main" then
				main = div.content
			end
		end,
	})
	return main or blocks
end

local function title_of(doc)
	local title = pandoc.utils.stringify(doc.meta.title or "")

	if title == "" then
		pandoc.walk_block(pandoc.Div(doc.blocks), {
			Header = function(h)
				if title == "" then
					title = pandoc.utils.stringify(h)
				end
			end,
		})
	end
	return (title:gsub("[%c%[%]<>\\`]", " "):sub(1, 200))
end

function Pandoc(doc)
	local whole = pandoc.Div(doc.blocks)
	local title = title_of(doc)

	pandoc.walk_block(whole, { Link = collect })
	local file = assert(io.open(list, "w"))
	file:write(title, "\n")
	for _, path in ipairs(found) do
		file:write(path, "\n")
	end
	assert(file:close())
	local kept = pandoc.walk_block(pandoc.Div(main_part(doc.blocks)),
	    { Link = rewrite, Image = describe,
		Div = function(div) return div.content end,
		Span = function(span) return span.content end })
	return pandoc.Pandoc(kept.content)
end
