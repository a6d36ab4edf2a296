<?php
// What the application serves.

namespace App;

use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\Routing\Generator\UrlGeneratorInterface;
use Twig\Environment;

final class PageController
{
    private $twig;

    public function __construct(Environment $twig)
    {
        $this->twig = $twig;
    }

    /** The page whose template preloads main.css. */
    public function page(): Response
    {
        return new Response($this->twig->render('page.html.twig'));
    }

    /** Who asks, and how, as the application sees it behind all its proxies. */
    public function whoami(Request $request, UrlGeneratorInterface $urls): JsonResponse
    {
        $response = new JsonResponse([
            'client' => $request->getClientIp(),
            'scheme' => $request->getScheme(),
            'page' => $urls->generate('page', [], UrlGeneratorInterface::ABSOLUTE_URL),
        ]);

        return $response->setEncodingOptions($response->getEncodingOptions() | \JSON_UNESCAPED_SLASHES);
    }
}
